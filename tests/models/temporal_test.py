"""Time between the layers, against loops and networks of single frames."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.config.presets import preset
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import build
from semgcn_jax.models.temporal import TemporalAttention, reach, reaches

SIZES = {'hid_dim': 8, 'num_layers': 1}
LAYERS = 2  # Between frames.


def settings(**fields):
  return preset('synthetic', model='semgcn_temporal', **SIZES | fields).model


@functools.cache
def fresh(config, seed=0):
  example = jnp.zeros((1, 1, 16, config.input_channels))
  return jax.jit(build(config, H36M).init)(jax.random.PRNGKey(seed), example)


def variables(config, seed=0):
  """Random weights, whose layers between frames do something."""
  rng = np.random.default_rng(seed)
  tree = jax.tree.map(lambda leaf: leaf, fresh(config, seed))  # To be changed.
  for name, layer in tree['params'].items():
    if 'time' in name and layer:
      for part in ('output', 'distance'):
        shape = layer[part].shape
        layer[part] = jnp.asarray(rng.normal(size=shape), jnp.float32)
  return tree


def apply(config, tree, x, length=None):
  """Runs a compiled network; step by step it would take much longer."""
  return compiled(config)(tree, x, length=length)


@functools.cache
def compiled(config):
  return jax.jit(build(config, H36M).apply)


def clips(frames, count=2):
  rng = np.random.default_rng(1)
  return jnp.asarray(rng.normal(size=(count, frames, 16, 2)), jnp.float32)


@pytest.mark.parametrize('frames', [1, 3, 5, 27, 81, 243])
@pytest.mark.parametrize('layers', [1, 3, 5])
def test_reaches_spread_the_receptive_field(frames, layers):
  parts = reaches(frames, layers)
  assert len(parts) == layers and 1 + 2 * sum(parts) == frames
  assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize('causal', [False, True])
def test_a_layer_by_loops(causal):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(3, 9, 2, 8))
  length = [9, 6]
  offsets = range(-4, 1) if causal else range(-2, 3)
  kernel = rng.normal(size=(8, 8))
  out = rng.normal(size=(4, 8))
  distance = rng.normal(size=(5, 2))
  layer = TemporalAttention(2, causal)
  params = {'kernel': kernel, 'output': out, 'distance': distance}
  params = jax.tree.map(jnp.float32, params)
  y = layer.apply({'params': params}, jnp.float32(x), jnp.array(length))
  for j, b in np.ndindex(3, 2):
    nodes = x[j, :, b]
    normed = nodes - nodes.mean(axis=1, keepdims=True)
    normed /= np.sqrt((normed**2).mean(axis=1, keepdims=True) + 1e-6)
    query, key = normed @ kernel[:, :2], normed @ kernel[:, 2:4]
    value = nodes @ kernel[:, 4:]
    for t in range(length[b]):
      seen = np.zeros(4)
      for head in range(2):  # Of one channel, and two of values.
        channels = slice(2 * head, 2 * head + 2)
        weights = {
          t + d: np.exp(query[t, head] * key[t + d, head] + distance[i, head])
          for i, d in enumerate(offsets)
          if 0 <= t + d < length[b]
        }
        for other, weight in weights.items():
          seen[channels] += (
            weight / sum(weights.values()) * value[other, channels]
          )
      wanted = nodes[t] + (seen - value[t]) @ out
      np.testing.assert_allclose(y[j, t, b], wanted, rtol=1e-4, atol=1e-4)


def single_frames(tree, x):
  """Runs SemGCN on frames, with the weights of a network that sees time."""
  single = build(preset('synthetic', **SIZES).model, H36M)
  graph = {k: v for k, v in tree['params'].items() if 'time' not in k}
  return jax.jit(single.apply)(tree | {'params': graph}, x)


@pytest.mark.parametrize('still', [False, True])
def test_one_frame_or_a_still_clip_is_semgcn(still):
  config = settings()
  tree = variables(config)
  x = clips(1)
  if still:
    x = jnp.repeat(x, 9, axis=1)
  wanted = single_frames(tree, x[:, 0])
  for pose in jnp.moveaxis(apply(config, tree, x), 1, 0):
    np.testing.assert_allclose(pose, wanted, atol=1e-5)


@pytest.mark.slow
def test_a_fresh_network_is_semgcn_frame_by_frame():
  config, x = settings(), clips(5)
  tree = fresh(config)
  np.testing.assert_allclose(
    apply(config, tree, x), single_frames(tree, x), atol=1e-5
  )


@pytest.mark.parametrize('causal', [False, True])
def test_a_pose_depends_on_its_receptive_field_alone(causal):
  config = settings(receptive_field=9, causal=causal)
  tree, x = variables(config), clips(21)
  y = np.asarray(apply(config, tree, x))
  moved = np.asarray(apply(config, tree, x.at[:, 10].add(1)))
  changed = np.flatnonzero(np.abs(moved - y).max(axis=(0, 2, 3)) > 1e-6)
  before, after = reach(config)
  assert before + after == 8
  assert (changed.min(), changed.max()) == (10 - after, 10 + before)


@pytest.mark.slow
def test_frames_behind_the_end_do_not_count():
  config = settings(receptive_field=9)
  tree, x = variables(config), clips(12)
  short = apply(config, tree, x[:1, :7])
  padded = apply(config, tree, x, jnp.array([7, 12]))
  np.testing.assert_allclose(padded[:1, :7], short, atol=1e-5)
  np.testing.assert_allclose(padded[1:], apply(config, tree, x[1:]), atol=1e-5)


@pytest.mark.slow
def test_a_stream_is_the_clip_frame_by_frame():
  config = settings(receptive_field=9, causal=True)
  tree, x = variables(config), clips(15)
  wanted = apply(config, tree, x)
  model = build(config, H36M, streaming=True)
  cache = jax.jit(model.init)(jax.random.PRNGKey(0), x[:, :1])['cache']
  advance = jax.jit(functools.partial(model.apply, mutable=['cache']))
  for t in range(x.shape[1]):
    pose, updated = advance(tree | {'cache': cache}, x[:, t : t + 1])
    cache = updated['cache']
    np.testing.assert_allclose(pose, wanted[:, t : t + 1], atol=1e-5)


@pytest.mark.slow
def test_a_stream_cannot_look_ahead():
  model = build(settings(), H36M, streaming=True)
  with pytest.raises(ValueError, match='causal'):
    model.init(jax.random.PRNGKey(0), clips(1))


@pytest.mark.slow
def test_gradients_reach_the_layers_between_frames():
  config, x = settings(), clips(9)
  model, tree = build(config, H36M), fresh(config)

  def loss(params):
    return jnp.square(model.apply(tree | {'params': params}, x)).sum()

  grads = jax.jit(jax.grad(loss))(tree['params'])
  sizes = [jnp.abs(grads[f'time{n}']['output']).max() for n in range(LAYERS)]
  assert min(sizes) > 1e-4
