"""The training loop, on four simulated devices (see conftest.py)."""

import dataclasses
import json
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import BEST, TINY

from semgcn_jax import config
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.evaluation.evaluate import evaluate
from semgcn_jax.evaluation.scores import rank
from semgcn_jax.geometry.skeletons import H36M, save_skeleton
from semgcn_jax.runs import checkpoints
from semgcn_jax.runs import folder as run_folder
from semgcn_jax.training import loop, optimizers
from semgcn_jax.training import state as state_lib


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A run of two epochs that nobody has stopped, and its records."""
  workdir = tmp_path_factory.mktemp('whole') / 'run'
  return workdir, loop.train(TINY, workdir)


@pytest.fixture(scope='module')
def begun(tmp_path_factory):
  """A run of one epoch."""
  workdir = tmp_path_factory.mktemp('begun') / 'run'
  loop.train(TINY.replace(epochs=1), workdir)
  return workdir


@pytest.mark.slow
def test_everything_on_trains_resumes_and_keeps_both_kinds(tmp_path):
  settings = BEST.replace(val_subjects=('S5',), choose_on='val', lr=0.02)
  whole = loop.train(settings, tmp_path / 'whole')
  calls = []
  with pytest.MonkeyPatch.context() as patch:
    advance = loop.ProgressBar.advance

    def stopping(*args):
      calls.append(args)
      if len(calls) == 5:  # In the second epoch.
        signal.raise_signal(signal.SIGTERM)
      advance(*args)

    patch.setattr(loop.ProgressBar, 'advance', stopping)
    loop.train(settings, tmp_path / 'parts')
  parts = loop.train(settings, tmp_path / 'parts', resume=True)
  names = ('mpjpe', 'val_mpjpe', 'train_loss')
  for a, b in zip(whole, parts, strict=True):
    assert [a[n] for n in names] == [b[n] for n in names]
  best = min(whole, key=lambda record: record['val_mpjpe'])
  result = evaluate(tmp_path / 'whole', 'best', {})
  assert result['epoch'] == best['epoch']
  np.testing.assert_allclose(result['mpjpe'], best['mpjpe'], rtol=1e-6)
  raw = evaluate(tmp_path / 'whole', 'best', {}, averaged=False)
  assert abs(raw['mpjpe'] - result['mpjpe']) > 0.1
  once = evaluate(tmp_path / 'whole', 'best', {'flip_test': False})
  assert abs(once['mpjpe'] - result['mpjpe']) > 0.01
  with pytest.raises(
    SettingError, match='`epochs=4`: .* its learning rate ends at zero'
  ):
    longer = settings.replace(epochs=4)
    loop.train(longer, tmp_path / 'whole', resume=True)


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
    with pytest.raises(SettingError, match=message):
      settings = BEST.replace(**changes)
      loop.train(settings, tmp_path / 'new')
    assert not (tmp_path / 'new').exists()

  check('`val_subjects`: S9 is not a training', val_subjects=('S9',))
  everyone = ('S1', 'S5', 'S6', 'S7', 'S8')
  check('leave a subject to train on', val_subjects=everyone)
  split = {'train_subjects': ('S1', 'S9'), 'test_subjects': ('S9',)}
  check('S9 twice', val_subjects=('S9',), **split)
  check('S5 twice', val_subjects=('S5', 'S5'))
  message = '`virtual_turn`: .* or give `virtual_turn=0` `virtual_pitch=0`'
  check(message, keypoints='sh', image_aligned=False)
  check(message, image_aligned=True)
  check('`virtual_shift=9`: the nearest pose is', virtual_shift=9.0)
  chain = tmp_path / 'chain.json'
  save_skeleton(dataclasses.replace(H36M, left=(), right=()), chain)
  check('`flip`: the skeleton has no left and right', skeleton=str(chain))


@pytest.mark.slow
def test_train_resume_and_stop_are_bit_identical(whole, tmp_path, monkeypatch):
  at_once, whole = whole
  assert [r['epoch'] for r in whole] == [1, 2]
  # The same, stopped in the middle of an epoch by SIGTERM, and again.
  advance, calls = loop.ProgressBar.advance, []

  def interrupted(self, *args):
    calls.append(args)
    if len(calls) in (2, 5):
      signal.raise_signal(signal.SIGTERM)
    advance(self, *args)

  monkeypatch.setattr(loop.ProgressBar, 'advance', interrupted)
  parts = tmp_path / 'parts'
  assert loop.train(TINY, parts) == []
  for _ in range(2):
    records = loop.train(TINY, parts, resume=True)
  assert run_folder.read_log(parts) == records
  for a, b in zip(whole, records, strict=True):
    for name in ('epoch', 'train_loss', 'mpjpe', 'actions'):
      assert a[name] == b[name]
  states = []
  for workdir in (at_once, parts):
    state = state_lib.create_train_state(TINY, H36M)
    state, progress = checkpoints.restore_state(workdir, state)
    error = whole[-1]['mpjpe']
    assert progress == checkpoints.Progress(
      2, mpjpe=error, score=error, epoch_steps=20
    )
    states.append((state.step, state.variables, state.opt_state, state.rng))
  jax.tree.map(np.testing.assert_array_equal, *states)
  names = {p.name for p in parts.iterdir()}
  assert names - {'.lock'} == {
    *('config.json', 'skeleton.json', 'metrics.jsonl', 'curves.png'),
    'checkpoints',
  }


@pytest.mark.slow
def test_a_crash_between_log_and_checkpoint_is_healed(begun, tmp_path):
  shutil.copytree(begun, tmp_path / 'run')
  log = tmp_path / 'run' / 'metrics.jsonl'
  first = log.read_text()
  log.write_text(first + first.replace('"epoch": 1', '"epoch": 2') + '{"epo')
  records = loop.train(TINY, tmp_path / 'run', resume=True)
  assert [r['epoch'] for r in records] == [1, 2]
  lines = log.read_text().splitlines()
  assert [json.loads(line)['epoch'] for line in lines] == [1, 2]


@pytest.mark.slow
def test_ctrl_c_saves_too(tmp_path, monkeypatch):
  calls = []

  def interrupted(*args):
    if not calls:
      signal.raise_signal(signal.SIGINT)
    calls.append(args)

  monkeypatch.setattr(loop.ProgressBar, 'advance', interrupted)
  with pytest.raises(KeyboardInterrupt):
    loop.train(TINY, tmp_path / 'run')
  assert checkpoints.exist(tmp_path / 'run')


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run(begun, tmp_path):
  shutil.copytree(begun, tmp_path / 'run')
  state = state_lib.create_train_state(TINY, H36M)
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
      loop.train(TINY, tmp_path / 'run', resume=True)
  restored, progress = checkpoints.restore_state(tmp_path / 'run', state)
  assert progress.epoch == 1
  jax.tree.map(np.testing.assert_array_equal, restored.params, state.params)


@pytest.mark.slow
def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
  # One step an epoch, so that the loss is still finite.
  wild = TINY.replace(batch_size=800)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      optimizers, 'learning_rate', lambda *_: lambda count: jnp.float32(jnp.inf)
    )
    with pytest.raises(UserError, match='parameters are not finite in epoch 1'):
      loop.train(wild, tmp_path / 'run')
  assert not checkpoints.exist(tmp_path / 'run')
  assert not (tmp_path / 'run' / 'metrics.jsonl').read_text()


@pytest.mark.slow
def test_a_damaged_history_is_not_written_over(whole, tmp_path):
  run = tmp_path / 'run'
  shutil.copytree(whole[0], run)
  log = run / 'metrics.jsonl'
  lines = log.read_text().splitlines(keepends=True)
  longer = TINY.replace(epochs=3)
  for text in (lines[0], '[1]\n', lines[1] + lines[0]):
    log.write_text(text)
    with pytest.raises(UserError, match=r'metrics\.jsonl: (line|lacks)'):
      loop.train(longer, run, resume=True)
    assert log.read_text() == text
  log.write_text(''.join(lines))
  with pytest.raises(SettingError, match='`epochs=1`: 2 are done already'):
    short = TINY.replace(epochs=1)
    loop.train(short, run, resume=True)
  assert len(loop.train(TINY, run, resume=True)) == 2
  shutil.rmtree(run / 'checkpoints')
  with pytest.raises(UserError, match='no checkpoint of the epochs'):
    loop.train(longer, run, resume=True)
  assert log.read_text() == ''.join(lines)


def test_a_run_belongs_to_one_process(tmp_path):
  run = tmp_path / 'run'
  with run_folder.claim(TINY, run, False):
    with pytest.raises(SettingError, match='another process trains in it'):
      loop.train(TINY, run, resume=True)


def test_a_run_killed_at_its_very_start_can_be_started(tmp_path):
  (tmp_path / '.config.json.123.tmp').write_text('{')
  run_folder.check(TINY, tmp_path, True)
  run_folder.check(TINY, tmp_path, False)


def test_refusals(tmp_path):
  def check(error, message, settings=TINY, workdir=tmp_path / 'new', **kwargs):
    with pytest.raises(error, match=message):
      loop.train(settings, workdir, **kwargs)
    assert not (tmp_path / 'new').exists()

  uneven = TINY.replace(batch_size=42)
  check(SettingError, '`batch_size=42`: does not split over 4 devices', uneven)
  large = TINY.replace(batch_size=1000)
  check(SettingError, 'there are 800 training poses', large)
  (tmp_path / 'file').write_text('mine')
  check(SettingError, 'something other than a run', workdir=tmp_path / 'file')
  check(SettingError, 'something other than a run', workdir=tmp_path)
  check(SettingError, 'cannot be used', workdir=tmp_path / 'file' / 'run')
  run = tmp_path / 'run'
  run.mkdir()
  config.save(TINY, run / 'config.json')
  before = (run / 'config.json').read_text()
  check(SettingError, 'holds a run; continue it with `resume`', workdir=run)
  other = TINY.replace(lr=0.5)
  check(SettingError, '`lr=0.5`: the run in', other, workdir=run, resume=True)
  assert (run / 'config.json').read_text() == before
  assert (tmp_path / 'file').read_text() == 'mine'


@pytest.mark.slow
@pytest.mark.parametrize('choose_on', ['last', 'test'])
def test_fewer_checkpoints(tmp_path, choose_on):
  settings = TINY.replace(
    epochs=5, batch_size=400, checkpoint_epochs=3, choose_on=choose_on
  )
  whole = loop.train(settings, tmp_path / 'whole')
  epochs = {3, 5}  # The last has one too.
  best = min(whole, key=lambda record: rank(record, choose_on))['epoch']
  for epoch in range(1, 6):
    if epoch in epochs | {best}:
      result = evaluate(tmp_path / 'whole', str(epoch), {})
      np.testing.assert_allclose(result['mpjpe'], whole[epoch - 1]['mpjpe'])
  assert evaluate(tmp_path / 'whole', 'best', {})['epoch'] == best
  if choose_on == 'last':
    with pytest.raises(SettingError, match='`which=4`: choose from'):
      evaluate(tmp_path / 'whole', '4', {})
  with pytest.MonkeyPatch.context() as patch:
    line = loop.epoch_line

    def stopping(record, *arguments):
      if record['epoch'] == 1:  # After which no checkpoint is due.
        signal.raise_signal(signal.SIGTERM)
      return line(record, *arguments)

    patch.setattr(loop, 'epoch_line', stopping)
    loop.train(settings, tmp_path / 'parts')
  assert checkpoints.finished_epochs(tmp_path / 'parts') == 1
  parts = loop.train(settings, tmp_path / 'parts', resume=True)
  assert [r['mpjpe'] for r in parts] == [r['mpjpe'] for r in whole]
