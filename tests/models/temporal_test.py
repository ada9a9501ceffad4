"""Time between the layers, against loops and networks of single frames."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.models.build import build
from semgcn_jax.models.temporal import TemporalConv, dilations, reach
from semgcn_jax.presets import preset
from semgcn_jax.skeleton import H36M

SIZES = {'hid_dim': 8, 'num_layers': 2}


def settings(**fields):
  return preset('synthetic', model='semgcn_temporal', **SIZES | fields).model


def variables(config, seed=0):
  """Random weights, whose layers between frames do something."""
  rng = np.random.default_rng(seed)
  example = jnp.zeros((1, 1, 16, config.input_channels))
  tree = jax.jit(build(config, H36M).init)(jax.random.PRNGKey(seed), example)
  for name, layer in tree['params'].items():
    if 'time' in name and layer:
      shape = layer['kernel'].shape
      layer['kernel'] = jnp.asarray(0.3 * rng.normal(size=shape), jnp.float32)
  return tree


def clips(frames, count=2):
  rng = np.random.default_rng(1)
  return jnp.asarray(rng.normal(size=(count, frames, 16, 2)), jnp.float32)


@pytest.mark.parametrize('frames', [1, 3, 5, 27, 81, 243])
@pytest.mark.parametrize('layers', [1, 3, 5])
def test_dilations_spread_the_receptive_field(frames, layers):
  steps = dilations(frames, layers)
  assert len(steps) == layers and 1 + 2 * sum(steps) == frames
  assert list(steps) == sorted(steps) or frames < 2 * layers + 1


@pytest.mark.parametrize('causal', [False, True])
def test_a_layer_by_loops(causal):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(3, 7, 2, 4)).astype(np.float32)
  kernel = rng.normal(size=(4, 8)).astype(np.float32)
  layer = TemporalConv(2, causal)
  y = layer.apply({'params': {'kernel': kernel}}, x)
  offsets = (-4, -2) if causal else (-2, 2)
  for t in range(7):
    wanted = x[:, t].copy()
    for offset, part in zip(offsets, np.split(kernel, 2, axis=1), strict=True):
      other = x[:, min(max(t + offset, 0), 6)]
      wanted += (other - x[:, t]) @ part
    np.testing.assert_allclose(y[:, t], wanted, atol=1e-5)


@pytest.mark.parametrize('still', [False, True])
def test_one_frame_or_a_still_clip_is_semgcn(still):
  config = settings()
  tree = variables(config)
  x = clips(1)
  if still:
    x = jnp.repeat(x, 9, axis=1)
  single = build(preset('synthetic', **SIZES).model, H36M)
  graph = {k: v for k, v in tree['params'].items() if 'time' not in k}
  wanted = single.apply(tree | {'params': graph}, x[:, 0])
  for pose in jnp.moveaxis(build(config, H36M).apply(tree, x), 1, 0):
    np.testing.assert_allclose(pose, wanted, atol=1e-5)


def test_a_fresh_network_is_semgcn_frame_by_frame():
  config, x = settings(), clips(5)
  model = build(config, H36M)
  tree = model.init(jax.random.PRNGKey(0), x[:, :1])
  single = build(preset('synthetic', **SIZES).model, H36M)
  graph = {k: v for k, v in tree['params'].items() if 'time' not in k}
  np.testing.assert_allclose(
    model.apply(tree, x), single.apply(tree | {'params': graph}, x), atol=1e-5
  )


@pytest.mark.parametrize('causal', [False, True])
def test_a_pose_depends_on_its_receptive_field_alone(causal):
  config = settings(receptive_field=9, causal=causal)
  tree, x = variables(config), clips(21)
  model = build(config, H36M)
  y = np.asarray(model.apply(tree, x))
  moved = np.asarray(model.apply(tree, x.at[:, 10].add(1)))
  changed = np.flatnonzero(np.abs(moved - y).max(axis=(0, 2, 3)) > 1e-6)
  before, after = reach(config)
  assert before + after == 8
  assert (changed.min(), changed.max()) == (10 - after, 10 + before)


def test_frames_behind_the_end_do_not_count():
  config = settings(receptive_field=9)
  tree, x = variables(config), clips(12)
  model = build(config, H36M)
  short = model.apply(tree, x[:1, :7])
  padded = model.apply(tree, x, length=jnp.array([7, 12]))
  np.testing.assert_allclose(padded[:1, :7], short, atol=1e-5)
  np.testing.assert_allclose(padded[1:], model.apply(tree, x[1:]), atol=1e-5)


def test_a_stream_is_the_clip_frame_by_frame():
  config = settings(receptive_field=9, causal=True)
  tree, x = variables(config), clips(15)
  wanted = build(config, H36M).apply(tree, x)
  model = build(config, H36M, streaming=True)
  cache = model.init(jax.random.PRNGKey(0), x[:, :1])['cache']
  for t in range(x.shape[1]):
    pose, updated = model.apply(
      tree | {'cache': cache}, x[:, t : t + 1], mutable=['cache']
    )
    cache = updated['cache']
    np.testing.assert_allclose(pose, wanted[:, t : t + 1], atol=1e-5)


def test_a_stream_cannot_look_ahead():
  model = build(settings(), H36M, streaming=True)
  with pytest.raises(ValueError, match='causal'):
    model.init(jax.random.PRNGKey(0), clips(1))


def test_gradients_reach_the_layers_between_frames():
  config, x = settings(), clips(9)
  model = build(config, H36M)
  tree = model.init(jax.random.PRNGKey(0), x[:, :1])

  def loss(params):
    return jnp.square(model.apply(tree | {'params': params}, x)).sum()

  grads = jax.grad(loss)(tree['params'])
  sizes = [jnp.abs(grads[f'time{n}']['kernel']).max() for n in range(3)]
  assert min(sizes) > 1e-4
