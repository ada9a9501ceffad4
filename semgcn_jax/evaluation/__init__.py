"""Scores of poses: metrics, their tables, and what others have published."""
