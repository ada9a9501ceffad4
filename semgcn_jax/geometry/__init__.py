"""Skeletons, joint sets, cameras and rotations."""
