"""Lifters that see time, with random weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filmed import film_level, standing

from semgcn_jax.config.presets import preset
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.models.build import build
from semgcn_jax.runs.networks import Network
from semgcn_jax.runs.progress import Progress

SIZE = (1280, 720)
RATES = (
  *(5, 10, 29.97),
  *(pytest.param(r, marks=pytest.mark.slow) for r in (15, 24, 25, 50, 60, 120)),
)
SETTINGS = {
  'model': 'semgcn_temporal',
  'recipe': 'wild',
  'hid_dim': 8,
  'num_layers': 1,
  'receptive_field': 9,
}


def make_network(**settings):
  """Makes a network whose layers between frames do something."""
  config = preset('synthetic', **SETTINGS | settings)
  example = jnp.zeros((1, 1, 16, config.model.input_channels))
  model = build(config.model, H36M)
  variables = jax.jit(model.init)(jax.random.PRNGKey(0), example)
  rng = np.random.default_rng(0)
  for name, layer in variables['params'].items():
    if 'time' in name:
      shape = layer['output'].shape
      layer['output'] = jnp.asarray(0.2 * rng.normal(size=shape), jnp.float32)
  return Network(config, H36M, variables, Progress())


@functools.cache
def make_lifter(**settings):
  """Makes a lifter once, with whatever it compiles."""
  return Lifter.of(make_network(**settings))


def of_frames(count):
  """Sure keypoints of a clip, `[T, 17, 3]`."""
  found = film_level(standing(count), SIZE).keypoints('coco')
  return np.concatenate([found, np.ones_like(found[..., :1])], axis=-1)
