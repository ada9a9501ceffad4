"""Simulates what a camera and a detector see of a person, and draws people."""
