"""Lifts keypoints and images to 3D poses with a trained network."""
