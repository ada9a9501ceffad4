"""Datasets and files of poses: arrays in, pairs of 2D and 3D out."""
