"""Lifting of keypoints in your own program, by a trained network."""

from semgcn_jax.lifting.predictor import load_predictor, make_predictor

__all__ = ['load_predictor', 'make_predictor']
