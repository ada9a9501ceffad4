"""Runs that refine what another run lifts."""

import shutil

import jax
import numpy as np
import pytest
from by_loops import random
from command_line import fails, run, start
from tiny import TINY

from semgcn_jax import config, presets
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.evaluate import evaluate_run
from semgcn_jax.lifting.predictor import load_predictor
from semgcn_jax.models.build import abstract_variables, build
from semgcn_jax.runs import checkpoints
from semgcn_jax.skeleton import H36M
from semgcn_jax.training.loop import train_and_evaluate
from semgcn_jax.training.state import create_train_state
from semgcn_jax.training.warm_start import warm_start

# One epoch of two steps, on one device.
SHORT = TINY.replace(epochs=1, batch_size=400, chunk_steps=2, averaging=0.9)


def best_weights(settings, workdir):
  return checkpoints.restore_variables(
    workdir, 'best', abstract_variables(settings.model, H36M), averaged=True
  )[0]


@pytest.fixture(scope='module')
def lifter(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('lifter') / 'run'
  train_and_evaluate(SHORT, workdir)
  return workdir


@pytest.mark.slow
@pytest.mark.parametrize('frozen', [True, False])
def test_a_refined_run(lifter, tmp_path, frozen):
  settings = SHORT.replace(
    refine='pose_grammar', init_from=str(lifter), freeze_init=frozen
  )
  records = train_and_evaluate(settings, tmp_path / 'run')
  before = best_weights(SHORT, lifter)
  after = best_weights(settings, tmp_path / 'run')
  kept = jax.tree.map(
    lambda a, b: np.allclose(a, b, atol=1e-6),
    before['params'],
    after['params']['lifter'],
  )
  assert all(jax.tree.leaves(kept)) == frozen
  kept = jax.tree.map(
    lambda a, b: np.allclose(a, b, atol=1e-6),
    before['batch_stats'],
    after['batch_stats']['lifter'],
  )
  assert all(jax.tree.leaves(kept)) == frozen
  output = after['params']['grammar']['chain0_output']['kernel']
  assert np.abs(output).max() > 0  # It was zero.
  result = evaluate_run(tmp_path / 'run', 'best', {})
  np.testing.assert_allclose(result['mpjpe'], records[-1]['mpjpe'], rtol=1e-5)
  call = load_predictor(tmp_path / 'run', batch_sizes=(4,))
  inputs = random(4, 16, 2)
  expected = build(settings.model, H36M).apply(after, inputs)
  np.testing.assert_allclose(
    call(inputs), expected - expected[:, :1], rtol=1e-4, atol=1e-5
  )


@pytest.mark.slow
def test_every_seed_starts_with_the_lifter(lifter):
  settings = SHORT.replace(
    refine='pose_grammar', init_from=str(lifter), num_seeds=2
  )
  state = create_train_state(settings, H36M)
  state = warm_start(state, settings, H36M)
  expected = best_weights(SHORT, lifter)
  for tree in (state.variables, state.averaged):
    for seed in settings.training.seeds:
      variables = checkpoints.take_seed(tree, settings.training, seed)
      for name in ('params', 'batch_stats'):
        jax.tree.map(
          np.testing.assert_array_equal,
          variables[name]['lifter'],
          expected[name],
        )


def test_sizes_come_with_the_lifter(tmp_path):
  config.save(SHORT, tmp_path / 'config.json')
  settings = presets.preset(
    'cmu', refine='pose_grammar', init_from=str(tmp_path)
  )
  assert (settings.model.hid_dim, settings.model.num_layers) == (4, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'hid_dim': 8}, '`hid_dim=8`: `init_from=.*` has 4'),
    ({'conv': 'vanilla'}, '`conv=vanilla`: `init_from=.*` has semantic'),
    ({'image_aligned': True}, '`image_aligned=True`: `init_from=.*` has False'),
  ],
)
def test_a_lifter_of_another_model(lifter, tmp_path, fields, message):
  settings = SHORT.replace(
    refine='pose_grammar', init_from=str(lifter), **fields
  )
  with pytest.raises(SettingError, match=message):
    train_and_evaluate(settings, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_two_seeds_on_one_device_then_without_the_other_run(
  lifter, tmp_path, monkeypatch
):
  """As a user has it: the tests otherwise run on four simulated devices."""
  monkeypatch.setenv('XLA_FLAGS', '')
  mine = tmp_path / 'lifter'
  shutil.copytree(lifter, mine)
  flags = (
    *('--refine=pose_grammar', f'--init_from={mine}', '--freeze_init'),
    *('--recipe=released', '--epochs=1', '--batch_size=400', '--downsample=72'),
    *('--num_seeds=2', '--eval_batch_size=256'),
    f'--workdir={tmp_path / "run"}',
  )
  process = start('train', *flags)
  out, err = process.communicate(timeout=300)
  assert (process.returncode, err) == (0, '')
  assert '2 seeds' in out and 'on 1 cpu' in out
  shutil.rmtree(mine)
  code, out, err = run('train', *flags, '--resume')
  assert (code, err) == (0, '')
  assert 'all 1 epochs are done' in out
  fails(
    *('train', *flags[1:], f'--workdir={tmp_path / "new"}'),
    status=2,
    message=f'--init_from={mine}: needs --refine',
  )


@pytest.mark.parametrize('flag', ['--lifter=runs/a', '--freeze_lifter'])
def test_the_old_flags_name_the_new(flag, tmp_path):
  name = flag[2:].partition('=')[0]
  new = {'lifter': 'init_from', 'freeze_lifter': 'freeze_init'}[name]
  fails(
    *('train', flag, f'--workdir={tmp_path / "run"}'),
    status=2,
    message=f'--{name}: is now called --{new}',
  )
