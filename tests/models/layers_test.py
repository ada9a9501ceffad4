import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random
from joints_first import apply, init
from skeletons import CHAIN, HAND

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models import convolutions, layers
from semgcn_jax.models.graph import normalized_adjacency

SKELETONS = [H36M, HAND, CHAIN]


@pytest.mark.slow
@pytest.mark.parametrize('skeleton', SKELETONS)
def test_non_local_starts_as_the_identity(skeleton):
  x = random(3, skeleton.num_joints, 6)
  layer = layers.NonLocal(skeleton)
  variables = init(layer, x, train=False)
  for train in (False, True):
    y, _ = apply(layer, variables, x, train=train, mutable=['batch_stats'])
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize('skeleton', SKELETONS)
def test_non_local_by_loops(skeleton):
  joints, channels = skeleton.num_joints, 6
  x = random(3, joints, channels)
  layer = layers.NonLocal(skeleton)
  variables = init(layer, x, train=False)
  params = jax.tree.map(lambda p: random(*p.shape), variables['params'])

  def linear(name, value):
    return value @ params[name]['kernel'] + params[name]['bias']

  groups = skeleton.groups or tuple((j,) for j in range(joints))
  expected = np.zeros_like(x)
  for b in range(3):
    theta, phi, g = (linear(name, x[b]) for name in ('theta', 'phi', 'g'))
    phi = [phi[list(group)].max(axis=0) for group in groups]
    g = [g[list(group)].max(axis=0) for group in groups]
    for i in range(joints):
      y = np.zeros(channels // 2)
      for n in range(len(groups)):
        pair = np.concatenate([theta[i], phi[n]])
        y += max(pair @ params['affinity'], 0) / len(groups) * g[n]
      out = linear('out', y) / np.sqrt(1 + 1e-5)  # Fresh running statistics.
      expected[b, i] = out * params['norm']['scale'] + params['norm']['bias']
  variables = variables | {'params': params}
  np.testing.assert_allclose(
    apply(layer, variables, x, train=False), x + expected, rtol=1e-4, atol=1e-4
  )


def test_batch_norm_keeps_pytorch_statistics():
  x = random(4, 5, 3) * 3 + 1
  layer = layers.BatchNorm()
  variables = layer.init(jax.random.key(0), x, train=True)
  assert (variables['batch_stats']['var'] == 1).all()
  y, updated = layer.apply(variables, x, train=True, mutable=['batch_stats'])
  flat = x.reshape(-1, 3)
  np.testing.assert_allclose(
    y.reshape(-1, 3),
    (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5),
    atol=1e-5,
  )
  stats = updated['batch_stats']
  np.testing.assert_allclose(stats['mean'], 0.1 * flat.mean(0), rtol=1e-5)
  np.testing.assert_allclose(
    stats['var'], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5
  )


@pytest.mark.parametrize('poses', [4, 5])
def test_batch_norm_over_parts(poses):
  """Of 4 poses; of about 5, where 6 divide the batch."""
  x = random(3, 12, 2)
  layer = layers.BatchNorm(poses=poses)
  variables = layer.init(jax.random.key(0), x, train=True)
  y, updated = layer.apply(variables, x, train=True, mutable=['batch_stats'])
  parts = np.split(x, 3 if poses == 4 else 2, axis=1)
  moments = [
    (part.mean((0, 1)), part.var((0, 1)), part.reshape(-1, 2).var(0, ddof=1))
    for part in parts
  ]
  expected = [
    (part - mean) / np.sqrt(var + 1e-5)
    for part, (mean, var, _) in zip(parts, moments, strict=True)
  ]
  np.testing.assert_allclose(y, np.concatenate(expected, axis=1), atol=1e-5)
  stats = updated['batch_stats']
  mean, _, var = np.mean(moments, axis=0)
  np.testing.assert_allclose(stats['mean'], 0.1 * mean, rtol=1e-4)
  np.testing.assert_allclose(stats['var'], 0.9 + 0.1 * var, rtol=1e-5)


@pytest.mark.slow
def test_bias_before_batch_norm_gets_no_gradient():
  x = random(4, 5, 3)
  layer = layers.GraphConvBlock(
    lambda features, **kw: convolutions.SemGraphConv(features, CHAIN, **kw), 4
  )
  variables = init(layer, x, train=False)

  def total(params, train):
    y, _ = apply(
      layer,
      variables | {'params': params},
      x,
      train=train,
      mutable=['batch_stats'],
    )
    return jnp.sum(y**2)

  grads = jax.grad(total)(variables['params'], True)
  assert (grads['conv']['bias'] == 0).all()
  assert (grads['conv']['kernel'] != 0).any()
  shifted = jax.tree.map(lambda p: p, variables['params'])
  shifted['conv']['bias'] = shifted['conv']['bias'] + 3
  np.testing.assert_allclose(
    total(shifted, True), total(variables['params'], True), rtol=1e-4
  )


def test_residual_block_adds_two_blocks():
  x = random(4, 5, 3)
  layer = layers.ResidualBlock(
    lambda features, **kw: convolutions.GraphConv(features, CHAIN, **kw), 3
  )
  variables = init(layer, x, train=False)
  y = x
  for name in ('block1', 'block2'):
    params, stats = (variables[k][name] for k in ('params', 'batch_stats'))
    y = normalized_adjacency(CHAIN) @ (y @ params['conv']['kernel'])
    y = (y + params['conv']['bias'] - stats['norm']['mean']) / np.sqrt(1 + 1e-5)
    y = np.maximum(y, 0)
  np.testing.assert_allclose(
    apply(layer, variables, x, train=False), x + y, atol=1e-5
  )
