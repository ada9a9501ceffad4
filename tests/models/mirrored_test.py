"""Tests of models/mirrored.py."""

import jax
import numpy as np
import pytest

from semgcn_jax.config import ModelConfig
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.skeletons import H36M, mirror
from semgcn_jax.models.build import build, example_input
from semgcn_jax.models.inputs import mirror_inputs
from semgcn_jax.models.mirrored import tie, tied_apply

LIFTS = {'input_joints': ('coco', 'mediapipe'), 'expected_error': True}


def random_like(tree, seed):
  """Replaces the leaves of a tree by random ones, variances above 0."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: (
      np.abs(0.1 + 0.3 * rng.normal(size=x.shape)).astype('f')
      if x.ndim == 1
      else (0.3 * rng.normal(size=x.shape)).astype('f')
    ),
    tree,
  )


@pytest.mark.parametrize(
  ('fields', 'shape'),
  [
    ({}, (5,)),
    (LIFTS, (5,)),
    (LIFTS | {'model': 'semgcn_temporal', 'receptive_field': 7}, (3, 9)),
    ({'model': 'semgcn_temporal', 'receptive_field': 5, 'causal': True}, (9,)),
  ],
)
def test_mirrored_input_gives_mirrored_output(fields, shape):
  config = ModelConfig(mirrored=True, hid_dim=16, num_layers=2, **fields)
  model = build(config, H36M)
  example = example_input(config, H36M)
  variables = dict(model.init(jax.random.PRNGKey(0), np.zeros(example.shape)))
  free = random_like(variables, 1)
  tied = tie(free, config, H36M)
  rng = np.random.default_rng(2)
  inputs = rng.normal(size=(*shape, 16, config.input_channels)).astype('f')
  flip = mirror_inputs if config.input_joints else mirror

  def differs(variables):
    one = model.apply(variables, inputs)
    other = mirror(model.apply(variables, flip(inputs, H36M)), H36M)
    return float(np.abs(one - other).max() / np.abs(one).max())

  assert differs(tied) < 1e-5
  assert differs(free) > 1e-2
  again = tie(tied, config, H36M)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-6), again, tied)


def test_gradients_and_statistics_are_tied():
  config = ModelConfig(mirrored=True, hid_dim=8, num_layers=1)
  model = build(config, H36M)
  variables = dict(model.init(jax.random.PRNGKey(0), np.zeros((2, 16, 2))))
  inputs = np.random.default_rng(0).normal(size=(6, 16, 2)).astype('f')
  apply = tied_apply(model.apply, config, H36M)

  def loss(params):
    out, updated = apply(
      variables | {'params': params},
      inputs,
      train=True,
      mutable=['batch_stats'],
    )
    return (out**3).sum(), updated

  grads, updated = jax.grad(loss, has_aux=True)(variables['params'])
  for tree in ({'params': grads}, updated):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-6),
      tree,
      tie(tree, config, H36M),
    )
  np.testing.assert_array_equal(apply(variables, inputs).shape, (6, 16, 3))


@pytest.mark.parametrize(
  'fields',
  [{'model': 'linear'}, {'conv': 'vanilla'}, {'hid_dim': 12}],
)
def test_refuses(fields):
  with pytest.raises(SettingError, match='`mirrored`'):
    ModelConfig(mirrored=True, **fields)
