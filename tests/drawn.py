"""People to be drawn."""

import functools

import numpy as np

from semgcn_jax.data.synthetic import OFFSETS
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation import scenes

PEOPLE = 12


def standing():
  """Twelve people in about the neutral pose, `[12, 16, 3]` meters, z up."""
  random = np.random.default_rng(1)
  poses = np.zeros((PEOPLE, 16, 3))
  for parent, child in H36M.bones:
    bone = OFFSETS[child] + random.normal(0, 0.05, (PEOPLE, 3))
    poses[:, child] = poses[:, parent] + bone
  return poses


@functools.cache
def make_scenes():
  """The scenes and views of these people."""
  return scenes.make(standing(), np.arange(PEOPLE), seed=4, train=True)
