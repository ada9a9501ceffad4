"""Semantic Graph Convolutional Networks (arXiv:1904.03345) in JAX."""
