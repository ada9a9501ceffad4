"""Drawings: training curves, comparisons of methods, learned graphs."""
