"""Conversion of downloaded files to those that training reads, and checks."""
