import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax import config, models, predictor
from semgcn_jax.evaluate import predict
from semgcn_jax.skeleton import H36M

SIZES = {'hid_dim': 16, 'num_layers': 1}


@pytest.mark.parametrize(
  'settings',
  [
    SIZES,
    SIZES | {'conv': 'channel_wise', 'recipe': 'best'},
    SIZES | {'conv': 'vanilla', 'non_local': False, 'flip_test': True},
    SIZES | {'model': 'linear'},
  ],
)
def test_predictor_equals_the_network(settings):
  settings = config.preset('h36m', **settings)
  rng = np.random.default_rng(0)
  model = models.build(settings, H36M)
  variables = model.init(jax.random.key(0), jnp.zeros((1, 16, 2)))
  # Statistics and parameters of batch norm that are not the initial ones.
  variables = jax.tree.map(
    lambda x: x + 0.3 * abs(rng.normal(size=x.shape)).astype(np.float32),
    variables,
  )
  inputs = rng.normal(size=(11, 16, 2)).astype(np.float32)
  call = predictor.make_predictor(settings, H36M, variables, batch_sizes=(1, 4))
  expected = predict(
    model, variables, inputs, H36M, flip_test=settings.flip_test
  )
  scale = abs(expected).max()
  for poses in (1, 3, 11):
    np.testing.assert_allclose(
      call(inputs[:poses]) / scale, expected[:poses] / scale, atol=2e-6
    )
  rough = predictor.make_predictor(
    settings, H36M, variables, batch_sizes=(4,), precision='bfloat16'
  )
  error = np.linalg.norm(rough(inputs) - expected) / np.linalg.norm(expected)
  assert 1e-4 < error < 0.05


def test_folding_leaves_no_norm():
  settings = config.preset('h36m', **SIZES)
  variables = models.build(settings, H36M).init(
    jax.random.key(0), jnp.zeros((1, 16, 2))
  )
  folded = predictor.fold(variables)
  paths = [
    jax.tree_util.keystr(path)
    for path, _ in jax.tree_util.tree_leaves_with_path(folded)
  ]
  assert list(folded) == ['params']
  assert paths and not any('norm' in path for path in paths)


@pytest.mark.parametrize(
  ('poses', 'parts'),
  [
    (1, [1]),
    (3, [1, 1, 1]),
    (7, [16]),
    (44, [16, 16, 16]),
    (300, [256, 16, 16, 16]),
    (1024, [256] * 4),
    (3000, [4096]),
    (9000, [4096, 4096, 256, 256, 256, 16, 16, 16]),
  ],
)
def test_batches_are_cut_with_little_waste(poses, parts):
  assert predictor.split(poses, (1, 16, 256, 4096)) == parts
  assert predictor.split(3, (4,)) == [4]
