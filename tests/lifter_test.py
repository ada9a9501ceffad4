"""Runs that refine what another run lifts."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny import TINY

from semgcn_jax import checkpoints, config, models
from semgcn_jax.errors import FlagError
from semgcn_jax.evaluate import seed_variables
from semgcn_jax.lifter import load_lifter
from semgcn_jax.skeleton import H36M
from semgcn_jax.train import train_and_evaluate
from semgcn_jax.train_step import create_train_state

# One epoch of two steps, on one device.
SHORT = dataclasses.replace(
  TINY, epochs=1, batch_size=400, chunk_steps=2, averaging=0.9
)


def best_weights(settings, workdir):
  return checkpoints.restore_variables(
    workdir, 'best', models.abstract_variables(settings, H36M), averaged=True
  )[0]


@pytest.fixture(scope='module')
def lifter(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('lifter') / 'run'
  train_and_evaluate(SHORT, workdir)
  return workdir


@pytest.mark.parametrize('frozen', [True, False])
def test_a_refined_run(lifter, tmp_path, frozen):
  settings = dataclasses.replace(
    SHORT, refine='pose_grammar', lifter=str(lifter), freeze_lifter=frozen
  )
  train_and_evaluate(settings, tmp_path / 'run')
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


def test_every_seed_starts_with_the_lifter(lifter):
  settings = dataclasses.replace(
    SHORT, refine='pose_grammar', lifter=str(lifter), num_seeds=2
  )
  state = create_train_state(settings, H36M)
  state = load_lifter(state, settings, H36M)
  expected = best_weights(SHORT, lifter)
  for tree in (state.variables, state.averaged):
    for variables in seed_variables(tree, settings):
      for name in ('params', 'batch_stats'):
        jax.tree.map(
          np.testing.assert_array_equal,
          variables[name]['lifter'],
          expected[name],
        )


def test_sizes_come_with_the_lifter(lifter):
  settings = config.preset('cmu', refine='pose_grammar', lifter=str(lifter))
  assert (settings.hid_dim, settings.num_layers) == (4, 1)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'hid_dim': 8}, '--hid_dim=8: --lifter=.* has 4'),
    ({'conv': 'vanilla'}, '--conv=vanilla: --lifter=.* has semantic'),
  ],
)
def test_a_lifter_of_another_model(lifter, tmp_path, fields, message):
  settings = dataclasses.replace(
    SHORT, refine='pose_grammar', lifter=str(lifter), **fields
  )
  with pytest.raises(FlagError, match=message):
    train_and_evaluate(settings, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
