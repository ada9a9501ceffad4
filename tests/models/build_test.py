import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random
from skeletons import CHAIN, HAND

from semgcn_jax.config import presets
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import build
from semgcn_jax.models.convolutions import CONVOLUTIONS, PartitionGraphConv
from semgcn_jax.models.graph import adjacency_mask, partitions
from semgcn_jax.models.linear import LinearModel
from semgcn_jax.models.semgcn import SemGCN
from semgcn_jax.models.st_gcn import STGCN, SpatialTemporalBlock


def num_params(**fields):
  return num_params_of(SemGCN(H36M, **fields))


def num_params_of(model):
  example = jnp.zeros((1, 16, 2))
  shapes = jax.eval_shape(model.init, jax.random.key(0), example)
  return sum(x.size for x in jax.tree.leaves(shapes['params']))


def test_parameter_counts_of_table_1():
  assert num_params() == 434_703
  assert num_params(non_local=False) == 267_343
  resgcn = num_params(conv='vanilla', non_local=False)
  assert f'{resgcn / 1e6:.2f}' == '0.14'
  assert f'{num_params(conv="vanilla") / 1e6:.2f}' == '0.30'


def test_parameter_counts_of_table_3():
  attention = {'hid_dim': 128, 'non_local': False}
  assert num_params(conv='agcn', **attention) == 158_351
  assert num_params(conv='gat', **attention | {'hid_dim': 136}) == 156_019
  # Published as 0.29 M.
  assert num_params(conv='modulated', non_local=False) == 287_923
  assert num_params_of(STGCN(H36M)) == 267_799
  assert num_params_of(LinearModel(H36M)) == 4_288_557


@pytest.mark.slow
@pytest.mark.parametrize('skeleton', [H36M, HAND, CHAIN])
@pytest.mark.parametrize('conv', [*CONVOLUTIONS, 'st_gcn'])
def test_any_skeleton_and_leading_dimensions(skeleton, conv):
  if conv == 'st_gcn':
    model = STGCN(skeleton, hid_dim=8, num_layers=1)
  else:
    model = SemGCN(skeleton, hid_dim=8, num_layers=1, conv=conv)
  x = jax.random.normal(jax.random.key(0), (3, 2, skeleton.num_joints, 2))
  variables = model.init(jax.random.key(1), x[0])
  y = model.apply(variables, x)
  assert y.shape == (3, 2, skeleton.num_joints, 3)
  # aGCN's weights sum to two in every layer, so its outputs are about 15.
  atol = 1e-5 if conv == 'agcn' else 1e-6
  np.testing.assert_allclose(y[1], model.apply(variables, x[1]), atol=atol)


def test_another_number_of_joints_is_refused():
  for conv in CONVOLUTIONS:
    model = SemGCN(CHAIN, hid_dim=8, num_layers=1, conv=conv)
    with pytest.raises(AssertionError):
      model.init(jax.random.key(0), jnp.zeros((2, 16, 2)))


@pytest.mark.slow
def test_dropout_acts_in_training_only():
  model = SemGCN(CHAIN, hid_dim=8, num_layers=1, dropout=0.5)
  x = jax.random.normal(jax.random.key(0), (3, 5, 2))
  variables = model.init(jax.random.key(1), x)

  def train(seed):
    rngs = {'dropout': jax.random.key(seed)}
    return model.apply(
      variables, x, train=True, rngs=rngs, mutable=['batch_stats']
    )[0]

  assert not np.allclose(train(0), train(1))
  np.testing.assert_array_equal(
    model.apply(variables, x), model.apply(variables, x)
  )


def test_build_from_config():
  settings = presets.preset('cmu', hid_dim=8, conv='vanilla', non_local=False)
  model = build(settings.model, H36M)
  assert model == SemGCN(H36M, hid_dim=8, conv='vanilla', non_local=False)


def test_st_gcn_block_by_hand():
  x = random(4, 5, 3)
  model = STGCN(CHAIN, hid_dim=3, num_layers=1)
  variables = model.init(jax.random.key(0), jnp.zeros((1, 5, 2)))
  params = jax.tree.map(
    lambda p: random(*p.shape), variables['params']['block0']
  )
  parts, mask = partitions(CHAIN), adjacency_mask(CHAIN)
  conv = params['spatial']['conv']
  importance = np.zeros(mask.shape)
  importance[mask] = conv['edge_importance']

  def norm(y, of):
    return y / np.sqrt(1 + 1e-5) * of['scale'] + of['bias']

  y = sum(
    (part * importance) @ (x @ kernel)
    for part, kernel in zip(parts, conv['kernel'], strict=True)
  )
  y = np.maximum(norm(y + conv['bias'], params['spatial']['norm']), 0)
  y = y @ params['linear']['kernel'] + params['linear']['bias']
  expected = np.maximum(x + norm(y, params['norm']), 0)
  block = SpatialTemporalBlock(
    functools.partial(PartitionGraphConv, graph=CHAIN), 3
  )
  stats = variables['batch_stats']['block0']
  actual = block.apply(
    {'params': params, 'batch_stats': stats}, x.swapaxes(0, 1), train=False
  )
  np.testing.assert_allclose(actual.swapaxes(0, 1), expected, atol=1e-5)
