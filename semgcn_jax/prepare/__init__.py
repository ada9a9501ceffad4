"""Preparation of data: converts downloaded files for training, and checks."""
