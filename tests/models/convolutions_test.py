import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random, softmax_by_loops
from joints_first import apply, init
from skeletons import CHAIN, HAND

from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.models import convolutions
from semgcn_jax.models.graph import adjacency_mask, normalized_adjacency

SKELETONS = [H36M, HAND, CHAIN]


def randomized(layer, x):
  """Params of a layer, all drawn at random."""
  params = init(layer, x)['params']
  return {
    name: jnp.asarray(random(*value.shape, seed=seed))
    for seed, (name, value) in enumerate(params.items())
  }


@pytest.mark.parametrize('skeleton', SKELETONS)
@pytest.mark.parametrize('channel_wise', [False, True])
def test_semantic_conv_by_loops(skeleton, channel_wise):
  joints, channels, features = skeleton.num_joints, 3, 4
  x = random(2, 5, joints, channels)
  layer = convolutions.SemGraphConv(
    features, skeleton, channel_wise=channel_wise
  )
  params = init(layer, x)['params']
  edges = random(*params['edge_logits'].shape)
  params = params | {'edge_logits': jnp.asarray(edges)}
  mask = adjacency_mask(skeleton)
  kernel, bias = np.asarray(params['kernel']), np.asarray(params['bias'])
  expected = np.zeros((2, 5, joints, features))
  for d in range(features):
    adjacency = softmax_by_loops(edges[d] if channel_wise else edges, mask)
    for i in range(joints):
      for j in range(joints):
        weights = kernel[0 if i == j else 1][:, d]
        expected[..., i, d] += adjacency[i, j] * (x[..., j, :] @ weights)
  np.testing.assert_allclose(
    apply(layer, {'params': params}, x), expected + bias, atol=1e-5
  )


def test_semantic_conv_starts_in_the_released_range():
  layer = convolutions.SemGraphConv(128, H36M)
  params = layer.init(jax.random.key(0), jnp.zeros((16, 1, 128)))['params']
  bound = 1.414 * np.sqrt(6 / (128 * 128 + 2 * 128))
  assert 0.0268 < abs(params['kernel']).max() <= bound < 0.0269
  np.testing.assert_allclose(params['kernel'].std(), bound / 3**0.5, rtol=0.02)
  assert 0.08 < abs(params['bias']).max() <= 128**-0.5
  assert (params['edge_logits'] == 1).all()


@pytest.mark.parametrize('skeleton', SKELETONS)
def test_vanilla_conv_by_loops(skeleton):
  x = random(3, skeleton.num_joints, 2)
  layer = convolutions.GraphConv(4, skeleton)
  params = init(layer, x)['params']
  adjacency = normalized_adjacency(skeleton)
  expected = np.zeros((3, skeleton.num_joints, 4))
  for i in range(skeleton.num_joints):
    for j in range(skeleton.num_joints):
      expected[:, i] += adjacency[i, j] * (x[:, j] @ params['kernel'])
  np.testing.assert_allclose(
    apply(layer, {'params': params}, x), expected + params['bias'], atol=1e-5
  )


@pytest.mark.parametrize('name', ['vanilla', 'gat', 'agcn', 'parts'])
def test_permutation_equivariance(name):
  """Of the convolutions whose parameters are not of joints or edges."""
  order = np.random.default_rng(1).permutation(16)
  place = np.argsort(order)
  permuted = Skeleton(
    joints=tuple(H36M.joints[j] for j in order),
    parents=tuple(
      -1 if H36M.parents[j] == -1 else int(place[H36M.parents[j]])
      for j in order
    ),
  )
  conv = (convolutions.CONVOLUTIONS | {
    # With its edges all equal, as they start.
    'parts': convolutions.PartitionGraphConv,
  })[name]  # fmt: skip
  x = random(3, 16, 2)
  layer = conv(4, graph=H36M)
  variables = init(layer, x)
  np.testing.assert_allclose(
    apply(conv(4, graph=permuted), variables, x[:, order]),
    apply(layer, variables, x)[:, order],
    atol=1e-6,
  )


def neighbours(skeleton, joint):
  """Of a joint, itself not among them."""
  return [
    other
    for other in range(skeleton.num_joints)
    if skeleton.parents[joint] == other or skeleton.parents[other] == joint
  ]


@pytest.mark.parametrize('skeleton', SKELETONS)
@pytest.mark.parametrize('features', [8, 3])
def test_graph_attention_by_loops(skeleton, features):
  joints, heads = skeleton.num_joints, 4
  x = random(2, joints, 5)
  layer = convolutions.GraphAttention(features, skeleton)
  params = randomized(layer, x)
  size = features // heads if features % heads == 0 else features
  expected = np.zeros((2, joints, features))
  for b in range(2):
    for head in range(heads):
      kernel = np.asarray(params['kernel'])[:, head * size : (head + 1) * size]
      nodes = x[b] @ kernel
      a = np.concatenate(np.asarray(params['attention'])[:, head])
      for i in range(joints):
        around = [i, *neighbours(skeleton, i)]
        logits = [a @ np.concatenate([nodes[i], nodes[j]]) for j in around]
        weights = np.exp([e if e > 0 else 0.2 * e for e in logits])
        y = weights @ nodes[around] / weights.sum()
        if size < features:
          expected[b, i, head * size : (head + 1) * size] = y
        else:
          expected[b, i] += y / heads
  np.testing.assert_allclose(
    apply(layer, {'params': params}, x), expected + params['bias'], atol=1e-4
  )


@pytest.mark.parametrize('skeleton', SKELETONS)
def test_attentional_conv_by_loops(skeleton):
  joints = skeleton.num_joints
  x = random(2, joints, 5)
  layer = convolutions.AttentionalGraphConv(4, skeleton)
  params = randomized(layer, x)
  pair = np.concatenate(np.asarray(params['pair']))  # W_a, [2 C, hidden].
  expected = np.zeros((2, joints, 4))
  for b in range(2):
    nodes = x[b] @ params['kernel']
    for i in range(joints):
      around = neighbours(skeleton, i)
      logits = [
        np.maximum(np.concatenate([x[b, i], x[b, j]]) @ pair, 0)
        @ params['score']
        for j in around
      ]
      weights = np.exp(logits) / np.exp(logits).sum()
      expected[b, i] = nodes[i]
      for weight, j in zip(weights, around, strict=True):
        expected[b, i] += weight * nodes[j]
  np.testing.assert_allclose(
    apply(layer, {'params': params}, x), expected + params['bias'], atol=1e-4
  )


@pytest.mark.parametrize('skeleton', SKELETONS)
def test_partition_conv_by_loops(skeleton):
  joints = skeleton.num_joints
  x = random(2, joints, 5)
  layer = convolutions.PartitionGraphConv(4, skeleton)
  params = randomized(layer, x)
  itself, closer, farther = np.asarray(params['kernel'])
  expected, edge = np.zeros((2, joints, 4)), 0
  for i in range(joints):
    around = sorted([i, *neighbours(skeleton, i)])
    for j in around:
      kernel = farther
      if j == i:
        kernel = itself
      elif j == skeleton.parents[i]:
        kernel = closer
      weight = params['edge_importance'][edge] / len(around)
      expected[:, i] += weight * (x[:, j] @ kernel)
      edge += 1
  np.testing.assert_allclose(
    apply(layer, {'params': params}, x), expected + params['bias'], atol=1e-4
  )


@pytest.mark.parametrize('skeleton', SKELETONS)
def test_modulated_conv_by_loops(skeleton):
  """Zou and Tang, ICCV 2021: sums over j of (m_j * W h_j) (A + Q)_ij."""
  joints = skeleton.num_joints
  x = random(3, joints, 2)
  layer = convolutions.ModulatedGraphConv(4, skeleton)
  params = randomized(layer, x)
  adjacency = normalized_adjacency(skeleton)
  expected = np.zeros((3, joints, 4))
  for i in range(joints):
    for j in range(joints):
      own = params['kernel'][0 if i == j else 1]
      added = (params['affinity'][i, j] + params['affinity'][j, i]) / 2
      modulated = np.asarray(params['modulation'][j]) * np.asarray(
        x[:, j] @ own
      )
      expected[:, i] += (adjacency[i, j] + added) * modulated
  np.testing.assert_allclose(
    apply(layer, {'params': params}, x), expected + params['bias'], atol=1e-4
  )
  fresh = init(layer, x)['params']
  assert (fresh['modulation'] == 1).all() and not fresh['affinity'].any()


@pytest.mark.parametrize('name', convolutions.CONVOLUTIONS)
def test_nodes_without_edges(name):
  graph = Graph(nodes=tuple('abc'), edges=((0, 1),))
  layer = convolutions.CONVOLUTIONS[name](4, graph=graph)
  x = random(3, 3, 5)
  assert np.isfinite(apply(layer, init(layer, x), x)).all()


@pytest.mark.slow
@pytest.mark.parametrize('name', convolutions.CONVOLUTIONS)
def test_gradients_are_finite(name):
  layer = convolutions.CONVOLUTIONS[name](4, graph=H36M)
  x = random(3, 16, 5)
  params = init(layer, x)['params']
  grads = jax.grad(
    lambda params, x: jnp.sum(apply(layer, {'params': params}, x) ** 2), (0, 1)
  )(params, x)
  for grad in jax.tree.leaves(grads):
    assert np.isfinite(grad).all() and np.abs(grad).max() > 0


@pytest.mark.parametrize('name', ['gat', 'agcn'])
def test_attention_sums_to_one_and_depends_on_the_input(name):
  layer = convolutions.CONVOLUTIONS[name](8, graph=H36M)
  x = random(3, 16, 5)
  params = randomized(layer, x)
  params['bias'] = jnp.zeros(8)
  total = {'gat': 1, 'agcn': 2}[name]  # aGCN's joint has one for itself.
  equal = np.broadcast_to(x[:, :1], x.shape)
  np.testing.assert_allclose(
    apply(layer, {'params': params}, equal),
    total * equal @ params['kernel'],
    atol=1e-4,
  )
  # With weights that do not depend on the input, all is linear in it.
  once = apply(layer, {'params': params}, x)
  twice = apply(layer, {'params': params}, 2 * x)
  assert abs(twice - 2 * once).max() > 0.1
