"""Datasets: pose files, read and turned into pairs of 2D and 3D."""
