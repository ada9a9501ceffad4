import jax
import numpy as np
import pytest
from released import fresh_state, same, write

from semgcn_jax.config import presets
from semgcn_jax.export import torch_files, torch_states
from semgcn_jax.export.torch_names import infer_model
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import build


def test_a_prefix_and_old_fields_are_understood(tmp_path):
  def change(checkpoint):
    state_dict = checkpoint['state_dict']
    checkpoint['state_dict'] = {
      f'module.{k}': v
      for k, v in state_dict.items()
      if not k.endswith('num_batches_tracked')  # PyTorch 0.4 had none.
    }
    checkpoint['error'] = np.float64(40.5)
    for moments in checkpoint['optimizer']['state'].values():
      moments['step'] = 7  # A number until PyTorch 1.12.

  path = tmp_path / 'a.pth.tar'
  settings, state = write(path, change=change)
  ours, progress = torch_states.import_checkpoint(
    torch_files.read(path),
    settings.model,
    settings.evaluation.choose_on,
    fresh_state(settings),
  )
  assert progress.mpjpe == 40.5
  same(ours.variables, state.variables)
  same(ours.opt_state, state.opt_state)


def test_without_an_optimizer_adam_starts_afresh(tmp_path):
  path = tmp_path / 'a.pth.tar'
  settings, state = write(path, change=lambda c: c.pop('optimizer'))
  fresh = fresh_state(settings)
  ours, _ = torch_states.import_checkpoint(
    torch_files.read(path),
    settings.model,
    settings.evaluation.choose_on,
    fresh,
  )
  same(ours.params, state.params)
  counts = [int(x) for x in jax.tree.leaves(ours.opt_state) if x.ndim == 0]
  assert sorted(counts) == [0, 7]  # Of Adam, and of the learning rate.


@pytest.mark.slow
def test_the_published_full_size_checkpoint(shared):
  parity = shared / 'parity'
  checkpoint = torch_files.read(parity / 'ckpt_semgcn_nonlocal_cmu.pth.tar')
  settings = presets.preset('cmu', **infer_model(checkpoint['state_dict']))
  assert settings == presets.preset('cmu')
  state, progress = torch_states.import_checkpoint(
    checkpoint,
    settings.model,
    settings.evaluation.choose_on,
    fresh_state(settings),
  )
  assert progress.epoch == 30 and state.step == 11_820
  expected = np.load(parity / 'ckpt_semgcn_nonlocal_cmu_predictions.npz')
  with jax.default_matmul_precision('highest'):
    ours = build(settings.model, H36M).apply(state.variables, expected['x'])
  np.testing.assert_allclose(ours, expected['pred'], rtol=0, atol=1e-5)
  back = torch_states.export_checkpoint(state, progress, settings.model, 1e-3)
  same(back['state_dict'], checkpoint['state_dict'])
  assert list(back['state_dict']) == list(checkpoint['state_dict'])
  for number, moments in checkpoint['optimizer']['state'].items():
    for name in ('exp_avg', 'exp_avg_sq'):
      np.testing.assert_array_equal(
        back['optimizer']['state'][number][name], moments[name]
      )
