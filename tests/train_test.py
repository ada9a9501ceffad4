"""The training loop, on four simulated devices (see conftest.py)."""

import dataclasses
import functools
import json
import shutil
import signal
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semgcn_jax import (
  checkpoints,
  config,
  data,
  feeding,
  models,
  optimizers,
  train,
  train_step,
)
from semgcn_jax import workdir as run_folder
from semgcn_jax.errors import FlagError, UserError
from semgcn_jax.evaluate import evaluate_run, rank
from semgcn_jax.skeleton import H36M

# 800 training poses; 4 chunks of 5 steps an epoch.
TINY = config.preset(
  'synthetic',
  recipe='released',
  hid_dim=4,
  num_layers=1,
  epochs=2,
  batch_size=40,
  downsample=72,
  chunk_steps=5,
  eval_batch_size=64,
)


def run_steps(settings, num_devices, dtype, steps=20, resident=True):
  """Params and statistics after some steps on a number of devices."""
  dataset = data.load(settings, H36M)
  mesh = Mesh(np.array(jax.devices()[:num_devices]), (train_step.AXIS,))
  replicated = NamedSharding(mesh, PartitionSpec())
  state = train_step.create_train_state(settings, H36M)
  state = jax.tree.map(
    lambda x: x.astype(dtype) if x.dtype == jnp.float32 else x, state
  )
  arrays = {'inputs': dataset.train.inputs, 'targets': dataset.train.targets}
  arrays = jax.tree.map(lambda x: np.asarray(x, dtype), arrays)
  state = jax.device_put(state, replicated)
  feed = feeding.make_feed(arrays, mesh, train_step.AXIS, resident=resident)
  order = train_step.make_epoch_order(
    len(dataset.train), settings.batch_size, np.array([steps]), mesh
  )
  chunk = train_step.make_train_chunk(settings, H36M, mesh, resident=resident)
  state, losses = chunk(state, *feed(order(state.rng, 0)[0]))
  assert np.isfinite(losses).all() and state.num_steps == steps
  return jax.device_get(state.variables), np.asarray(losses)


def relative(a, b):
  flat = [
    np.concatenate([x.ravel() for x in jax.tree.leaves(t)]) for t in (a, b)
  ]
  return np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1])


def test_four_devices_equal_one():
  settings = dataclasses.replace(TINY, hid_dim=8, downsample=8, batch_size=64)
  four, one = (run_steps(settings, n, jnp.float32)[0] for n in (4, 1))
  for kind in ('params', 'batch_stats'):
    assert relative(four[kind], one[kind]) < 1e-5
  with jax.enable_x64(True):
    four, one = (run_steps(settings, n, jnp.float64)[0] for n in (4, 1))
  for a, b in zip(jax.tree.leaves(four), jax.tree.leaves(one), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_step_is_clipped_adam_on_the_mean_squared_error():
  settings = dataclasses.replace(TINY, batch_size=8)
  (variables, losses) = run_steps(settings, 1, jnp.float32, steps=3)
  dataset = data.load(settings, H36M)
  state = train_step.create_train_state(settings, H36M)
  model = models.build(settings, H36M)
  mesh = Mesh(np.array(jax.devices()[:1]), (train_step.AXIS,))
  order = train_step.make_epoch_order(
    len(dataset.train), 8, np.array([3]), mesh
  )
  rows = np.asarray(order(state.rng, 0)[0])[0]
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


def test_each_seed_equals_its_own_run():
  settings = dataclasses.replace(
    TINY, hid_dim=8, downsample=8, batch_size=16, averaging=0.99, noise=1.0
  )
  together = dataclasses.replace(settings, seed=3, num_seeds=3)
  variables, losses = run_steps(together, 1, jnp.float32, steps=100)
  assert losses.shape == (3, 100)
  for index, seed in enumerate(together.seeds):
    alone = dataclasses.replace(settings, seed=seed)
    expected, expected_losses = run_steps(alone, 1, jnp.float32, steps=100)
    ours = jax.tree.map(lambda x, index=index: x[index], variables)
    for kind in ('params', 'batch_stats'):
      assert relative(ours[kind], expected[kind]) < 1e-4
    np.testing.assert_allclose(losses[index], expected_losses, rtol=1e-3)
  spread = abs(losses[0, -1] - losses[1, -1]) / losses[0, -1]
  assert spread > 1e-3  # Or it would be one seed, three times.


@pytest.mark.parametrize('num_seeds', [1, 2])
def test_streamed_poses_make_the_same_steps(num_seeds):
  settings = dataclasses.replace(TINY, batch_size=8, num_seeds=num_seeds)
  resident, streamed = (
    run_steps(settings, 2, jnp.float32, resident=resident)
    for resident in (True, False)
  )
  jax.tree.map(np.testing.assert_array_equal, resident, streamed)


def test_statistics_of_parts_do_not_depend_on_the_devices():
  settings = dataclasses.replace(
    TINY, hid_dim=8, downsample=8, batch_size=64, norm_poses=16
  )
  with jax.enable_x64(True):
    (four, losses), (one, _) = (
      run_steps(settings, n, jnp.float64) for n in (4, 1)
    )
    whole = dataclasses.replace(settings, norm_poses=0)
    _, other_losses = run_steps(whole, 1, jnp.float64)
  for a, b in zip(jax.tree.leaves(four), jax.tree.leaves(one), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
  assert relative(losses, other_losses) > 1e-3


def test_where_the_poses_lie():
  mesh = Mesh(np.array(jax.devices()[:1]), (train_step.AXIS,))
  arrays = {'inputs': np.zeros((10, 16, 2), np.float32)}
  for where, expected in (('resident', True), ('streamed', False)):
    settings = dataclasses.replace(TINY, device_data=where)
    assert feeding.is_resident(arrays, settings, mesh) == expected
  small = types.SimpleNamespace(memory_stats=lambda: {'bytes_limit': 1000})
  devices = types.SimpleNamespace(devices=[small])
  assert not feeding.is_resident(arrays, TINY, devices)
  assert feeding.is_resident(arrays, TINY, mesh)


BEST = dataclasses.replace(
  TINY,
  **config.RECIPES['best']
  | {'recipe': 'best', 'lr': 1e-3, 'averaging': 0.9, 'weight_decay': 0.1},
  noise=2.0,
  missing=0.05,
  virtual_pitch=3.0,
  virtual_shift=0.1,
  virtual_zoom=0.02,
)


def test_the_cosine_by_hand():
  rate = optimizers.learning_rate(
    dataclasses.replace(
      BEST, lr=0.1, lr_batch=10, batch_size=40, epochs=4, warmup_epochs=0.5
    ),
    epoch_steps=10,
  )
  for count in range(40):
    expected = 0.2 * 0.5 * (1 + np.cos(np.pi * count / 40))
    expected *= min(1, (count + 1) / 5)
    np.testing.assert_allclose(rate(count), expected, rtol=1e-5, atol=1e-8)
  assert rate(40) < 1e-8
  # At most half of the run is warm-up.
  short = dataclasses.replace(BEST, epochs=2, warmup_epochs=50.0, lr_batch=0)
  rates = [optimizers.learning_rate(short, 10)(count) for count in range(20)]
  expected = [(c + 1) / 10 * (1 + np.cos(np.pi * c / 20)) for c in range(10)]
  np.testing.assert_allclose(rates[:10], 0.5e-3 * np.array(expected), rtol=1e-5)
  # Warm-up of the staircase.
  rate = optimizers.learning_rate(
    dataclasses.replace(TINY, warmup_epochs=1.0), 4
  )
  rates = [float(rate(count)) for count in range(6)]
  np.testing.assert_allclose(rates, np.minimum(1, np.arange(1, 7) / 4) * 1e-3)


@pytest.mark.parametrize('conv', ['semantic', 'channel_wise'])
def test_weight_decay_is_of_kernels_alone(conv):
  settings = dataclasses.replace(BEST, conv=conv)
  state = train_step.create_train_state(settings, H36M, 20)
  zeros = jax.tree.map(jnp.zeros_like, state.params)
  updates, _ = state.tx.update(zeros, state.opt_state, state.params)
  # The first of 20 steps of warm-up; no gradient, so nothing but the decay.
  rate = 1e-3 * (40 / 256) ** 0.5 / 20
  params = flatten_dict(state.params)
  assert {path[-1] for path in params} == {
    *('kernel', 'bias', 'scale', 'edge_logits', 'affinity')
  }
  for path, update in flatten_dict(updates).items():
    share = -rate * 0.1 if path[-1] == 'kernel' else 0
    expected = share * params[path]
    np.testing.assert_allclose(update, expected, rtol=1e-4, atol=1e-12)


def step_by_step(settings, steps):
  """The states after each of some steps, and what steps them."""
  dataset = data.load(settings, H36M)
  mesh = Mesh(np.array(jax.devices()[:1]), (train_step.AXIS,))
  state = train_step.create_train_state(settings, H36M, steps)
  order = train_step.make_epoch_order(
    len(dataset.train), settings.batch_size, np.arange(1, steps + 1), mesh
  )
  arrays = {
    name: getattr(dataset.train, name)
    for name in ('inputs', 'targets', 'roots', 'cameras')
  }
  chunk = train_step.make_train_chunk(
    settings, H36M, mesh, dataset.train.camera_list
  )
  states = [jax.device_get(state)]
  for rows in order(state.rng, 0):
    state, losses = chunk(state, arrays, rows)
    assert np.isfinite(losses).all()
    states.append(jax.device_get(state))
  return states


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
  off = dataclasses.replace(BEST, averaging=0.0)
  off = train_step.create_train_state(off, H36M)
  assert off.averaged is None and relative(off.scored, off.variables) == 0


def test_everything_on_trains_resumes_and_keeps_both_kinds(tmp_path):
  settings = dataclasses.replace(
    BEST, val_subjects=('S5',), choose_on='val', lr=0.02
  )
  whole = train.train_and_evaluate(settings, tmp_path / 'whole')
  calls = []
  with pytest.MonkeyPatch.context() as patch:
    advance = train.ProgressBar.advance

    def stopping(*args):
      calls.append(args)
      if len(calls) == 5:  # In the second epoch.
        signal.raise_signal(signal.SIGTERM)
      advance(*args)

    patch.setattr(train.ProgressBar, 'advance', stopping)
    train.train_and_evaluate(settings, tmp_path / 'parts')
  parts = train.train_and_evaluate(settings, tmp_path / 'parts', resume=True)
  names = ('mpjpe', 'val_mpjpe', 'train_loss')
  for a, b in zip(whole, parts, strict=True):
    assert [a[n] for n in names] == [b[n] for n in names]
  best = min(whole, key=lambda record: record['val_mpjpe'])
  result = evaluate_run(tmp_path / 'whole', 'best', {})
  assert result['epoch'] == best['epoch']
  np.testing.assert_allclose(result['mpjpe'], best['mpjpe'], rtol=1e-6)
  raw = evaluate_run(tmp_path / 'whole', 'best', {}, averaged=False)
  assert abs(raw['mpjpe'] - result['mpjpe']) > 0.1
  once = evaluate_run(tmp_path / 'whole', 'best', {'flip_test': False})
  assert abs(once['mpjpe'] - result['mpjpe']) > 0.01
  with pytest.raises(
    FlagError, match='--epochs=4: .* its learning rate is zero'
  ):
    longer = dataclasses.replace(settings, epochs=4)
    train.train_and_evaluate(longer, tmp_path / 'whole', resume=True)


def test_the_last_epoch_is_best_unless_told_otherwise():
  records = [
    {'epoch': 1, 'mpjpe': 5.0, 'val_mpjpe': 4.0},
    {'epoch': 2, 'mpjpe': 6.0, 'val_mpjpe': 3.0},
    {'epoch': 3, 'mpjpe': 7.0, 'val_mpjpe': 5.0},
  ]
  for choose_on, epoch in (('last', 3), ('test', 1), ('val', 2)):
    best = min(records, key=lambda r: rank(r, choose_on))
    assert best['epoch'] == epoch


def test_bad_recipes(tmp_path):
  def check(message, **changes):
    with pytest.raises(FlagError, match=message):
      settings = dataclasses.replace(BEST, **changes)
      train.train_and_evaluate(settings, tmp_path / 'new')
    assert not (tmp_path / 'new').exists()

  check('--val_subjects: S9 is not a training', val_subjects=('S9',))
  everyone = ('S1', 'S5', 'S6', 'S7', 'S8')
  check('leave a subject to train on', val_subjects=everyone)
  split = {'train_subjects': ('S1', 'S9'), 'test_subjects': ('S9',)}
  check('S9 twice', val_subjects=('S9',), **split)
  check('S5 twice', val_subjects=('S5', 'S5'))
  message = '--virtual_turn: .* or give --virtual_turn=0 --virtual_pitch=0'
  check(message, keypoints='sh', image_aligned=False)
  check(message, image_aligned=True)
  check('--virtual_shift=9: the nearest pose is', virtual_shift=9.0)
  chain = tmp_path / 'chain.json'
  fields = dataclasses.asdict(H36M) | {'left': (), 'right': ()}
  chain.write_text(json.dumps(fields))
  check('chain.json: has no left and right', skeleton=str(chain))


def test_learning_rate_is_a_staircase():
  rate = optimizers.learning_rate(
    dataclasses.replace(TINY, lr=0.1, lr_decay=3, lr_gamma=0.5)
  )
  rates = [float(rate(count)) for count in range(7)]
  np.testing.assert_allclose(rates, [0.1, 0.1, *[0.05] * 3, *[0.025] * 2])


@pytest.mark.parametrize('num_devices', [1, 2, 4])
def test_an_epoch_holds_every_pose_once(num_devices):
  mesh = Mesh(np.array(jax.devices()[:num_devices]), (train_step.AXIS,))
  bounds = train_step.chunk_bounds(25, 8)
  assert list(bounds) == [7, 13, 19, 25]
  order = train_step.make_epoch_order(103, 4, bounds, mesh)
  rng = jax.random.PRNGKey(0)
  chunks = [np.asarray(c) for c in order(rng, 0)]
  assert [c.shape for c in chunks] == [
    (num_devices, length, 4 // num_devices) for length in (7, 6, 6, 6)
  ]
  steps = np.concatenate([c.swapaxes(0, 1).reshape(-1, 4) for c in chunks])
  assert len(set(steps.ravel())) == 100  # 3 poses are left for another epoch.
  one = Mesh(np.array(jax.devices()[:1]), (train_step.AXIS,))
  reference = train_step.make_epoch_order(103, 4, bounds, one)(rng, 0)
  np.testing.assert_array_equal(steps, np.concatenate([*reference], axis=1)[0])
  assert not np.array_equal(chunks[0], order(rng, 1)[0])


def test_train_resume_and_stop_are_bit_identical(tmp_path, monkeypatch):
  whole = train.train_and_evaluate(TINY, tmp_path / 'whole')
  assert [r['epoch'] for r in whole] == [1, 2]
  # The same, stopped in the middle of an epoch by SIGTERM, and again.
  advance, calls = train.ProgressBar.advance, []

  def interrupted(self, *args):
    calls.append(args)
    if len(calls) in (2, 5):
      signal.raise_signal(signal.SIGTERM)
    advance(self, *args)

  monkeypatch.setattr(train.ProgressBar, 'advance', interrupted)
  parts = tmp_path / 'parts'
  assert train.train_and_evaluate(TINY, parts) == []
  for _ in range(2):
    records = train.train_and_evaluate(TINY, parts, resume=True)
  assert run_folder.read_log(parts) == records
  for a, b in zip(whole, records, strict=True):
    for name in ('epoch', 'train_loss', 'mpjpe', 'actions'):
      assert a[name] == b[name]
  states = []
  for workdir in (tmp_path / 'whole', parts):
    state = train_step.create_train_state(TINY, H36M)
    state, progress = checkpoints.restore_state(workdir, state)
    error = whole[-1]['mpjpe']
    assert progress == checkpoints.Progress(
      2, mpjpe=error, score=error, epoch_steps=20
    )
    states.append((state.step, state.variables, state.opt_state, state.rng))
  jax.tree.map(np.testing.assert_array_equal, *states)
  names = {p.name for p in parts.iterdir()}
  assert names == {
    *('config.json', 'skeleton.json', 'metrics.jsonl', 'curves.png'),
    'checkpoints',
  }


def test_a_crash_between_log_and_checkpoint_is_healed(tmp_path):
  train.train_and_evaluate(
    dataclasses.replace(TINY, epochs=1), tmp_path / 'run'
  )
  log = tmp_path / 'run' / 'metrics.jsonl'
  first = log.read_text()
  log.write_text(first + first.replace('"epoch": 1', '"epoch": 2') + '{"epo')
  records = train.train_and_evaluate(TINY, tmp_path / 'run', resume=True)
  assert [r['epoch'] for r in records] == [1, 2]
  lines = log.read_text().splitlines()
  assert [json.loads(line)['epoch'] for line in lines] == [1, 2]


def test_ctrl_c_saves_too(tmp_path, monkeypatch):
  calls = []

  def interrupted(*args):
    if not calls:
      signal.raise_signal(signal.SIGINT)
    calls.append(args)

  monkeypatch.setattr(train.ProgressBar, 'advance', interrupted)
  with pytest.raises(KeyboardInterrupt):
    train.train_and_evaluate(TINY, tmp_path / 'run')
  assert checkpoints.exist(tmp_path / 'run')


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
  train.train_and_evaluate(
    dataclasses.replace(TINY, epochs=1), tmp_path / 'run'
  )
  state = train_step.create_train_state(TINY, H36M)
  state, _ = checkpoints.restore_state(tmp_path / 'run', state)
  broken = jax.tree.map(lambda x: x * jnp.nan, state.params)
  original = checkpoints.restore_state
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      checkpoints,
      'restore_state',
      lambda *args: (
        original(*args)[0].replace(params=broken),
        original(*args)[1],
      ),
    )
    with pytest.raises(UserError, match=r'loss is nan in epoch 2, step 1'):
      train.train_and_evaluate(TINY, tmp_path / 'run', resume=True)
  restored, progress = checkpoints.restore_state(tmp_path / 'run', state)
  assert progress.epoch == 1
  jax.tree.map(np.testing.assert_array_equal, restored.params, state.params)


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
  # One step an epoch, so that the loss is still finite.
  wild = dataclasses.replace(TINY, batch_size=800)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      optimizers, 'learning_rate', lambda *_: lambda count: jnp.float32(jnp.inf)
    )
    with pytest.raises(UserError, match='parameters are not finite in epoch 1'):
      train.train_and_evaluate(wild, tmp_path / 'run')
  assert not checkpoints.exist(tmp_path / 'run')
  assert not (tmp_path / 'run' / 'metrics.jsonl').read_text()


def test_a_damaged_history_is_not_written_over(tmp_path):
  run = tmp_path / 'run'
  train.train_and_evaluate(TINY, run)
  log = run / 'metrics.jsonl'
  lines = log.read_text().splitlines(keepends=True)
  longer = dataclasses.replace(TINY, epochs=3)
  for text in (lines[0], '[1]\n', lines[1] + lines[0]):
    log.write_text(text)
    with pytest.raises(UserError, match='metrics.jsonl: does not hold'):
      train.train_and_evaluate(longer, run, resume=True)
    assert log.read_text() == text
  log.write_text(''.join(lines))
  with pytest.raises(FlagError, match='--epochs=1: 2 are done already'):
    short = dataclasses.replace(TINY, epochs=1)
    train.train_and_evaluate(short, run, resume=True)
  assert len(train.train_and_evaluate(TINY, run, resume=True)) == 2
  shutil.rmtree(run / 'checkpoints')
  with pytest.raises(UserError, match='no checkpoint of the epochs'):
    train.train_and_evaluate(longer, run, resume=True)
  assert log.read_text() == ''.join(lines)


def test_a_run_belongs_to_one_process(tmp_path):
  run = tmp_path / 'run'
  with run_folder.claim(TINY, H36M, run, False):
    with pytest.raises(FlagError, match='another process trains in it'):
      train.train_and_evaluate(TINY, run, resume=True)


def test_a_run_killed_at_its_very_start_can_be_started(tmp_path):
  (tmp_path / 'config.tmp').write_text('{')
  run_folder.check(TINY, tmp_path, True)
  run_folder.check(TINY, tmp_path, False)


def test_refusals(tmp_path):
  def check(error, message, settings=TINY, workdir=tmp_path / 'new', **kwargs):
    with pytest.raises(error, match=message):
      train.train_and_evaluate(settings, workdir, **kwargs)
    assert not (tmp_path / 'new').exists()

  uneven = dataclasses.replace(TINY, batch_size=42)
  check(FlagError, '--batch_size=42: does not split over 4 devices', uneven)
  large = dataclasses.replace(TINY, batch_size=1000)
  check(FlagError, 'there are 800 training poses', large)
  check(FlagError, '--loss=l9: choose', dataclasses.replace(TINY, loss='l9'))
  (tmp_path / 'file').write_text('mine')
  check(FlagError, 'something else than a run', workdir=tmp_path / 'file')
  check(FlagError, 'something else than a run', workdir=tmp_path)
  check(FlagError, 'cannot be used', workdir=tmp_path / 'file' / 'run')
  run = tmp_path / 'run'
  run.mkdir()
  config.save(TINY, run / 'config.json')
  before = (run / 'config.json').read_text()
  check(FlagError, 'holds a run; go on with --resume', workdir=run)
  other = dataclasses.replace(TINY, lr=0.5)
  check(FlagError, '--lr=0.5: the run in', other, workdir=run, resume=True)
  assert (run / 'config.json').read_text() == before
  assert (tmp_path / 'file').read_text() == 'mine'
