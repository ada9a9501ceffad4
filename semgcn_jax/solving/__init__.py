"""Solves clips: one body for each person, a path, and the camera's place."""
