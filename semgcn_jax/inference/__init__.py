"""Lifts 2D keypoints to 3D poses in your own program."""

from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.predictor import load_predictor, make_predictor

__all__ = ['Lifter', 'load_predictor', 'make_predictor']
