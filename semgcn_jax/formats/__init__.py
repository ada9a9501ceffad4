"""Writes lifted people in the formats that others read."""
