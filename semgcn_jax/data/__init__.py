"""Datasets: files of poses, read and made into pairs of 2D and 3D."""
