"""Checkpoints of the released code."""

import functools

import jax
import numpy as np
import pytest

from semgcn_jax.config import presets
from semgcn_jax.export import torch_files, torch_states
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.runs import checkpoints
from semgcn_jax.training import state as state_lib

torch = pytest.importorskip('torch', reason='needs the torch extra')

KINDS = {
  'semgcn': {'num_layers': 1, 'hid_dim': 4},
  'no_non_local': {'num_layers': 2, 'hid_dim': 4, 'non_local': False},
  'channel_wise': {'num_layers': 1, 'hid_dim': 4, 'conv': 'channel_wise'},
  'linear': {'model': 'linear', 'num_layers': 1, 'hid_dim': 6},
}


@functools.cache
def fresh_state(settings, epoch_steps=1):
  return state_lib.create_train_state(settings, H36M, epoch_steps)


def make_state(kind):
  """A state in which every array differs from its initial value."""
  settings = presets.preset('h36m', **KINDS[kind])
  state = fresh_state(settings)
  rng = np.random.default_rng(0)
  state = jax.tree.map(
    lambda x: (
      rng.normal(size=x.shape).astype(x.dtype) if x.dtype == np.float32 else x
    ),
    state,
  )
  state = state.replace(
    batch_stats=jax.tree.map(np.abs, state.batch_stats),
    step=np.int32(7),
    opt_state=jax.tree.map(
      lambda x: x * 0 + 7 if x.dtype == np.int32 else x, state.opt_state
    ),
  )
  return settings, state


def write(path, kind='semgcn', change=lambda checkpoint: None):
  """A published checkpoint, changed before it is saved."""
  settings, state = make_state(kind)
  progress = checkpoints.Progress(epoch=3, mpjpe=41.5, score=41.5)
  torch_files.write(
    torch_states.export_checkpoint(state, progress, settings.model, 1e-3), path
  )
  checkpoint = torch.load(path, weights_only=True)
  change(checkpoint)
  torch.save(checkpoint, path, _use_new_zipfile_serialization=False)
  return settings, state


def same(a, b):
  """Asserts that two trees hold the same bits."""
  jax.tree.map(np.testing.assert_array_equal, a, b)
