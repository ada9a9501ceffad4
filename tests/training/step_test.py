import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh
from tiny import BEST, TINY

from semgcn_jax.data import datasets
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import build
from semgcn_jax.tasks import make_task
from semgcn_jax.training import state as state_lib
from semgcn_jax.training import step
from semgcn_jax.training.trainer import Trainer


def make_trainer(settings, num_devices, dtype=jnp.float32):
  """A Trainer of the settings' poses, its state and poses of another type."""
  train = datasets.load(settings.data, H36M).train
  arrays = make_task(settings, H36M).arrays(train)
  arrays = {
    name: array.astype(dtype) if array.dtype == np.float32 else array
    for name, array in arrays.items()
  }
  devices = jax.devices()[:num_devices]
  trainer = Trainer(settings, H36M, arrays, train.camera_list, devices=devices)
  trainer.place(
    jax.tree.map(
      lambda x: x.astype(dtype) if x.dtype == jnp.float32 else x, trainer.state
    )
  )
  return trainer


def epoch_of(trainer):
  """The rows `[D, S, B / D]` of all batches of the first epoch."""
  orders = trainer.epoch_order(trainer.state.rng, 0)
  return jnp.concatenate(orders, axis=-2)


def run_steps(settings, num_devices, dtype=jnp.float32, steps=20):
  """Params and statistics after some steps on a number of devices."""
  trainer = make_trainer(settings, num_devices, dtype)
  order = epoch_of(trainer)[..., :steps, :]
  state, losses = trainer.train_chunk(
    trainer.state, *next(trainer.feed([order]))
  )
  assert np.isfinite(losses).all() and state.num_steps == steps
  return jax.device_get(state.variables), np.asarray(losses)


def relative(a, b):
  flat = [
    np.concatenate([x.ravel() for x in jax.tree.leaves(t)]) for t in (a, b)
  ]
  return np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1])


@pytest.mark.slow
def test_four_devices_equal_one():
  settings = TINY.replace(hid_dim=8, downsample=8, batch_size=64)
  four, one = (run_steps(settings, n, jnp.float32)[0] for n in (4, 1))
  for kind in ('params', 'batch_stats'):
    assert relative(four[kind], one[kind]) < 1e-5
  with jax.enable_x64(True):
    four, one = (run_steps(settings, n, jnp.float64)[0] for n in (4, 1))
  for a, b in zip(jax.tree.leaves(four), jax.tree.leaves(one), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_a_step_is_clipped_adam_on_the_mean_squared_error():
  settings = TINY.replace(batch_size=8)
  (variables, losses) = run_steps(settings, 1, jnp.float32, steps=3)
  dataset = datasets.load(settings.data, H36M)
  state = state_lib.create_train_state(settings, H36M)
  model = build(settings.model, H36M)
  rows = np.asarray(epoch_of(make_trainer(settings, 1)))[0]
  params, stats = state.params, state.batch_stats
  m = jax.tree.map(jnp.zeros_like, params)
  v = m

  @jax.jit
  @functools.partial(jax.value_and_grad, has_aux=True)
  def grad_fn(params, stats, batch):
    out, new = model.apply(
      {'params': params, 'batch_stats': stats},
      jnp.asarray(dataset.train.inputs)[batch],
      train=True,
      mutable=['batch_stats'],
    )
    error = jnp.mean((out - jnp.asarray(dataset.train.targets)[batch]) ** 2)
    return error, new['batch_stats']

  for t in range(1, 4):
    (loss, stats), g = grad_fn(params, stats, rows[t - 1])
    np.testing.assert_allclose(loss, losses[t - 1], rtol=1e-4)
    norm = optax.tree.norm(g)
    g = jax.tree.map(lambda x, norm=norm: x * min(1, 1 / norm), g)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    params = jax.tree.map(
      lambda p, m, v, t=t: (
        p - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
      ),
      params,
      m,
      v,
    )
  assert relative(variables['params'], params) < 1e-5
  assert relative(variables['batch_stats'], stats) < 1e-5


@pytest.mark.slow
def test_each_seed_equals_its_own_run():
  settings = TINY.replace(
    hid_dim=8, downsample=8, batch_size=16, averaging=0.99, noise=1.0
  )
  together = settings.replace(seed=3, num_seeds=3)
  variables, losses = run_steps(together, 1, jnp.float32, steps=100)
  assert losses.shape == (3, 100)
  for index, seed in enumerate(together.training.seeds):
    alone = settings.replace(seed=seed)
    expected, expected_losses = run_steps(alone, 1, jnp.float32, steps=100)
    ours = jax.tree.map(lambda x, index=index: x[index], variables)
    for kind in ('params', 'batch_stats'):
      assert relative(ours[kind], expected[kind]) < 1e-4
    np.testing.assert_allclose(losses[index], expected_losses, rtol=1e-3)
  spread = abs(losses[0, -1] - losses[1, -1]) / losses[0, -1]
  assert spread > 1e-3  # Or it would be one seed, three times.


@pytest.mark.slow
@pytest.mark.parametrize('num_seeds', [1, 2])
def test_streamed_poses_make_the_same_steps(num_seeds):
  settings = TINY.replace(batch_size=8, num_seeds=num_seeds)
  resident, streamed = (
    run_steps(settings.replace(device_data=where), 2)
    for where in ('resident', 'streamed')
  )
  jax.tree.map(np.testing.assert_array_equal, resident, streamed)


@pytest.mark.slow
def test_statistics_of_parts_do_not_depend_on_the_devices():
  settings = TINY.replace(hid_dim=8, downsample=8, batch_size=64, norm_poses=16)
  with jax.enable_x64(True):
    (four, losses), (one, _) = (
      run_steps(settings, n, jnp.float64) for n in (4, 1)
    )
    whole = settings.replace(norm_poses=0)
    _, other_losses = run_steps(whole, 1, jnp.float64)
  for a, b in zip(jax.tree.leaves(four), jax.tree.leaves(one), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
  assert relative(losses, other_losses) > 1e-3


def step_by_step(settings, steps):
  """The states before and after each of some steps."""
  trainer = make_trainer(settings, 1)
  order = epoch_of(trainer)
  states = [jax.device_get(trainer.state)]
  for number in range(steps):
    fed = next(trainer.feed([order[:, number : number + 1]]))
    trainer.state, losses = trainer.train_chunk(trainer.state, *fed)
    assert np.isfinite(losses).all()
    states.append(jax.device_get(trainer.state))
  return states


@pytest.mark.slow
def test_averages_by_their_recursion():
  states = step_by_step(BEST, 8)
  average = states[0].variables
  for count, state in enumerate(states[1:]):
    # 256 poses decay by 0.9, and early steps count more.
    decay = min(0.9 ** (40 / 256), (1 + count) / (10 + count))
    average = jax.tree.map(
      lambda a, x, d=decay: d * a + (1 - d) * x, average, state.variables
    )
    assert relative(state.averaged, average) < 1e-5
  assert relative(states[-1].averaged, states[-1].variables) > 1e-3
  assert states[0].scored is states[0].averaged
  off = BEST.replace(averaging=0.0)
  off = state_lib.create_train_state(off, H36M)
  assert off.averaged is None and relative(off.scored, off.variables) == 0


def test_the_average_of_what_never_changes_never_changes():
  variables = {
    'params': {'w': np.random.default_rng(0).normal(size=1000).astype('f')},
    'batch_stats': {'mean': np.linspace(-1, 1, 1000, dtype='f')},
  }
  state = state_lib.TrainState.create(
    apply_fn=lambda variables, x, **_: (x, variables),
    tx=optax.set_to_zero(),
    **variables,
    rng=jax.random.PRNGKey(0),
    averaged=variables,
  )

  def take_step(state, inputs):
    return step.train_step(
      state,
      {'inputs': inputs},
      augment_fn=lambda _, batch: batch,
      loss=lambda predicted, _: predicted.sum(),
      decay=0.99,
    )

  take_step = jax.pmap(
    take_step, axis_name=state_lib.AXIS, in_axes=(None, 0), out_axes=None
  )
  for _ in range(20):
    state, _ = take_step(state, np.zeros((1, 2), 'f'))
  assert state.num_steps == 20
  jax.tree.map(np.testing.assert_array_equal, state.averaged, variables)


@pytest.mark.parametrize('num_devices', [1, 2, 4])
def test_an_epoch_holds_every_pose_once(num_devices):
  mesh = Mesh(np.array(jax.devices()[:num_devices]), (state_lib.AXIS,))
  bounds = step.chunk_bounds(25, 8)
  assert list(bounds) == [7, 13, 19, 25]
  order = step.make_epoch_order(103, 4, bounds, mesh)
  rng = jax.random.PRNGKey(0)
  chunks = [np.asarray(c) for c in order(rng, 0)]
  assert [c.shape for c in chunks] == [
    (num_devices, length, 4 // num_devices) for length in (7, 6, 6, 6)
  ]
  steps = np.concatenate([c.swapaxes(0, 1).reshape(-1, 4) for c in chunks])
  assert len(set(steps.ravel())) == 100  # 3 poses are left for another epoch.
  one = Mesh(np.array(jax.devices()[:1]), (state_lib.AXIS,))
  reference = step.make_epoch_order(103, 4, bounds, one)(rng, 0)
  np.testing.assert_array_equal(steps, np.concatenate([*reference], axis=1)[0])
  assert not np.array_equal(chunks[0], order(rng, 1)[0])


def test_an_epoch_of_several_passes_takes_each_pose_as_often():
  mesh = Mesh(np.array(jax.devices()[:1]), (state_lib.AXIS,))
  bounds = step.chunk_bounds(30, 8)  # Of 120 poses.
  order = step.make_epoch_order(40, 4, bounds, mesh)
  chunks = order(jax.random.PRNGKey(0), 0)
  rows = np.concatenate([*chunks], axis=1).ravel()
  np.testing.assert_array_equal(np.bincount(rows), 3)
  assert not np.array_equal(rows[:40], rows[40:80])
  # The first pass is that of an epoch of one.
  once = step.make_epoch_order(40, 4, step.chunk_bounds(10, 10), mesh)
  (first,) = once(jax.random.PRNGKey(0), 0)
  np.testing.assert_array_equal(np.ravel(first), rows[:40])


def test_poses_are_drawn_by_their_weights():
  mesh = Mesh(np.array(jax.devices()[:1]), (state_lib.AXIS,))
  weights = np.repeat([1.0, 3.0], 20).astype('f')
  bounds = step.chunk_bounds(500, 500)
  order = step.make_epoch_order(40, 16, bounds, mesh, weights)
  (chunk,) = order(jax.random.PRNGKey(0), 0)
  counts = np.bincount(np.ravel(chunk), minlength=40)
  assert counts.sum() == 8000
  assert counts[20:].sum() / 8000 == pytest.approx(0.75, abs=0.02)
  assert counts.min() > 50
