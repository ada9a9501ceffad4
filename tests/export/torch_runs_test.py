import functools
import pickle
import sys

import jax
import numpy as np
import pytest
from hostile import Hostile

from semgcn_jax import config
from semgcn_jax.config import presets
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export import torch_files, torch_runs, torch_states
from semgcn_jax.export.torch_names import entries, infer_model
from semgcn_jax.geometry.skeletons import H36M, save_skeleton
from semgcn_jax.models.build import build
from semgcn_jax.runs import checkpoints
from semgcn_jax.training import optimizers
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
  jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.slow
def test_there_and_back_is_bit_identical(tmp_path, kind):
  path, run = tmp_path / 'a.pth.tar', tmp_path / 'run'
  settings, state = write(path, kind)
  torch_runs.import_run(path, run, {'dataset': 'cmu', 'keypoints': 'gt'})
  restored = config.load(run / 'config.json')
  for field in ('model', 'hid_dim', 'num_layers', 'conv', 'non_local'):
    assert getattr(restored.model, field) == getattr(settings.model, field)
  assert restored.data.dataset == 'cmu'
  assert restored.training.lr == settings.training.lr
  fresh = fresh_state(restored)
  ours, progress = checkpoints.restore_state(run, fresh)
  assert progress == checkpoints.Progress(epoch=3, mpjpe=41.5, score=41.5)
  same(ours.variables, state.variables)
  same(ours.opt_state, state.opt_state)
  assert ours.step == 7
  back = tmp_path / 'b.pth.tar'
  torch_runs.export_run(run, 'best', back)
  first, second = (torch.load(p, weights_only=True) for p in (path, back))
  assert list(first) == list(second)
  assert list(first['state_dict']) == list(second['state_dict'])
  params = [k for k in second['state_dict'] if not k.endswith(('mean', 'var'))]
  params = [k for k in params if not k.endswith('num_batches_tracked')]
  assert params == [e.torch for e in entries(restored.model) if e.is_param]
  assert (
    first['optimizer']['param_groups'] == second['optimizer']['param_groups']
  )
  same(*(jax.tree.map(np.asarray, f['state_dict']) for f in (first, second)))
  same(
    *(
      jax.tree.map(np.asarray, f['optimizer']['state']) for f in (first, second)
    )
  )
  for name in ('epoch', 'lr', 'step', 'error'):
    assert first[name] == second[name]
  assert back.read_bytes()[:2] == b'\x80\x02'  # The legacy format.


@pytest.mark.parametrize('kind', KINDS)
def test_order_of_the_optimizer_is_that_of_the_state_dict(kind):
  settings, _ = make_state(kind)
  names = [entry.torch for entry in entries(settings.model)]
  assert len(set(names)) == len(names)
  if kind == 'semgcn':
    assert names[:5] == [
      *('gconv_input.0.gconv.W', 'gconv_input.0.gconv.e'),
      *('gconv_input.0.gconv.bias', 'gconv_input.0.bn.weight'),
      'gconv_input.0.bn.bias',
    ]


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


@pytest.mark.parametrize('name', ['nonlocal_', 'non_local', 'nl'])
def test_renamed_attributes_and_bare_state_dicts(tmp_path, name):
  """Python 3 has made `nonlocal` a word of its own."""
  path = tmp_path / 'a.pth.tar'
  settings, state = write(path)
  state_dict = torch.load(path, weights_only=True)['state_dict']
  renamed = {
    k.replace('.nonlocal.', f'.{name}.'): v for k, v in state_dict.items()
  }
  assert renamed.keys() != state_dict.keys()
  torch.save(renamed, path)
  torch_runs.import_run(path, tmp_path / 'run', {})
  ours = checkpoints.restore_network(tmp_path / 'run').variables
  same(ours, state.variables)
  assert config.load(tmp_path / 'run' / 'config.json').model == settings.model


class Python2Pickler(pickle._Pickler):
  """Writes str as Python 2 does."""

  dispatch = dict(pickle._Pickler.dispatch)

  def save_str(self, text):
    data = text.encode('ascii')
    self.write(b'U' + bytes([len(data)]) + data)

  dispatch[str] = save_str


def test_files_of_python_2(tmp_path):
  path = tmp_path / 'a.pth.tar'
  settings, state = write(path)
  checkpoint = torch.load(path, weights_only=True)

  class Module:
    Pickler = Python2Pickler

    @staticmethod
    def dump(value, file, protocol):
      Python2Pickler(file, protocol).dump(value)

  torch.save(
    checkpoint,
    path,
    pickle_module=Module,
    pickle_protocol=2,
    _use_new_zipfile_serialization=False,
  )
  assert b'U\x05epoch' in path.read_bytes()
  ours, _ = torch_states.import_checkpoint(
    torch_files.read(path),
    settings.model,
    settings.evaluation.choose_on,
    fresh_state(settings),
  )
  same(ours.variables, state.variables)


def test_cuda_storages_are_read_on_a_cpu(tmp_path):
  path = tmp_path / 'a.pth.tar'
  settings, state = write(path)
  data = path.read_bytes()
  cpu = b'X\x03\x00\x00\x00cpu'
  assert cpu in data
  path.write_bytes(data.replace(cpu, b'X\x06\x00\x00\x00cuda:0'))
  variables = torch_states.to_variables(
    torch_files.read(path)['state_dict'], settings.model, state.variables
  )
  same(variables, state.variables)


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


def test_the_learning_rate_is_that_of_the_step(tmp_path):
  def change(checkpoint):
    checkpoint |= {'step': 250_000, 'lr': 1e-3 * 0.96**2}

  path, run = tmp_path / 'a.pth.tar', tmp_path / 'run'
  write(path, change=change)
  torch_runs.import_run(path, run, {})
  settings = config.load(run / 'config.json')
  assert settings.data.dataset == 'h36m'
  np.testing.assert_allclose(settings.training.lr, 1e-3)
  rate = optimizers.learning_rate(settings.training)(250_000)
  np.testing.assert_allclose(rate, 1e-3 * 0.96**2)


@pytest.mark.parametrize(
  'change, message',
  [
    (lambda c: c.update(epoch='abc'), "its epoch is 'abc', not a number"),
    (lambda c: c.update(epoch=-5), 'its epoch is -5, not a number from 0'),
    (lambda c: c.update(step=10**30), 'its step is 1000'),
    (lambda c: c.update(step=None), 'its step is None'),
    (lambda c: c.update(lr=[1]), r'its lr is \[1\]'),
    (lambda c: c.update(error=float('nan')), 'its error is nan'),
    (lambda c: c.update(optimizer={'state': {}}), 'is not Adam over the'),
    (lambda c: c.update(optimizer=[1]), 'is not Adam over the'),
    (
      lambda c: c['optimizer']['state'][3].update(step=2),
      'moments do not fit',
    ),
    (
      lambda c: c['optimizer']['state'][3].update(exp_avg=torch.zeros(5, 5)),
      'moments do not fit',
    ),
    (
      lambda c: c['state_dict'].update(
        {'gconv_output.bias': torch.zeros(3).half()}
      ),
      'gconv_output.bias is of type float16',
    ),
    (
      lambda c: c['state_dict'].update(
        {'gconv_output.bias': torch.full((3,), float('nan'))}
      ),
      'gconv_output.bias holds impossible numbers',
    ),
    (
      lambda c: c['state_dict'].update(
        {'gconv_input.0.bn.running_var': -torch.ones(4)}
      ),
      'gconv_input.0.bn.running_var holds impossible numbers',
    ),
    (
      lambda c: c['state_dict'].update({'a\nb': torch.zeros(1)}),
      r"'a\\nb' is extra",
    ),
    (
      lambda c: c['state_dict'].update(
        {'gconv_input.0.gconv.W': torch.zeros(1).expand(2, 2, 10**9)}
      ),
      'a model of width 1000000000',
    ),
    (
      lambda c: c['state_dict'].update(
        {'module.gconv_output.bias': torch.zeros(3)}
      ),
      'is extra',
    ),
    (
      lambda c: c['state_dict'].update(
        {'gconv_input.0.gconv.W': torch.tensor(1.0)}
      ),
      'a model of width 0',
    ),
  ],
)
def test_odd_contents_are_one_line(tmp_path, change, message):
  path, run = tmp_path / 'a.pth.tar', tmp_path / 'run'
  write(path, change=change)
  with pytest.raises(UserError, match=message) as caught:
    torch_runs.import_run(path, run, {})
  assert '\n' not in str(caught.value)
  assert [p.name for p in tmp_path.iterdir()] == ['a.pth.tar']


def test_flags_that_contradict_the_file(tmp_path):
  path, run = tmp_path / 'a.pth.tar', tmp_path / 'run'
  write(path)
  for fields, message in (
    ({'hid_dim': 9}, '`hid_dim=9`: the checkpoint has 4'),
    ({'dataset': 'mars'}, '`dataset=mars`: choose from'),
  ):
    with pytest.raises(SettingError, match=message):
      torch_runs.import_run(path, run, fields)
    assert not run.exists()


@pytest.mark.slow
def test_a_best_run_there_and_back(tmp_path):
  """Its averaged weights go, with the rate of the cosine at its step."""
  settings = presets.preset(
    'h36m', recipe='best', hid_dim=4, num_layers=1, epochs=4
  )
  run = tmp_path / 'run'
  run.mkdir()
  config.save(settings, run / 'config.json')
  save_skeleton(H36M, run / 'skeleton.json')
  state = fresh_state(settings, 20)
  state = state.replace(
    step=np.int32(35),  # In the second epoch.
    averaged=jax.tree.map(lambda x: x + 1, state.variables),
  )
  progress = checkpoints.Progress(1, 2, mpjpe=40.0, score=-1, epoch_steps=20)
  with checkpoints.open_manager(run, 1) as manager:
    checkpoints.save(manager, state, progress, H36M)
  torch_runs.export_run(run, 'last', tmp_path / 'a.pth.tar')
  checkpoint = torch_files.read(tmp_path / 'a.pth.tar')
  rate = optimizers.learning_rate(settings.training, 20)(34)
  np.testing.assert_allclose(checkpoint['lr'], rate, rtol=1e-5)
  fields = {'recipe': 'best', 'epochs': 4}
  torch_runs.import_run(tmp_path / 'a.pth.tar', tmp_path / 'b', fields)
  back = config.load(tmp_path / 'b' / 'config.json')
  assert back.training.lr == settings.training.lr
  fresh = fresh_state(back, 20)
  ours, progress = checkpoints.restore_state(tmp_path / 'b', fresh)
  jax.tree.map(
    np.testing.assert_array_equal, ours.scored, jax.device_get(state.averaged)
  )
  jax.tree.map(np.testing.assert_array_equal, ours.scored, ours.variables)
  # Without the recipe it is a released model like any other.
  torch_runs.import_run(tmp_path / 'a.pth.tar', tmp_path / 'c', {})
  assert config.load(tmp_path / 'c' / 'config.json').training.averaging == 0


@pytest.mark.slow
@pytest.mark.parametrize('step', [1, 99_998, 99_999, 100_000, 100_001])
def test_the_learning_rate_survives_there_and_back(tmp_path, step):
  settings, state = make_state('semgcn')
  settings = settings.replace(lr=3e-4)
  run = tmp_path / 'run'
  run.mkdir()
  config.save(settings, run / 'config.json')
  save_skeleton(H36M, run / 'skeleton.json')
  with checkpoints.open_manager(run, 1) as manager:
    progress = checkpoints.Progress(3, mpjpe=40.0, score=40.0)
    checkpoints.save(
      manager, state.replace(step=np.int32(step)), progress, H36M
    )
  torch_runs.export_run(run, 'best', tmp_path / 'a.pth.tar')
  torch_runs.import_run(tmp_path / 'a.pth.tar', tmp_path / 'b', {})
  back = config.load(tmp_path / 'b' / 'config.json')
  rates = [optimizers.learning_rate(s.training)(step) for s in (settings, back)]
  np.testing.assert_allclose(*rates, rtol=1e-5)


def test_bad_checkpoints_write_nothing(tmp_path):
  path, run = tmp_path / 'a.pth.tar', tmp_path / 'run'

  def check(*messages):
    with pytest.raises(UserError) as caught:
      torch_runs.import_run(path, run, {})
    text = str(caught.value)
    assert '\n' not in text
    for message in messages:
      assert message in text
    assert {p.name for p in tmp_path.iterdir()} <= {'a.pth.tar'}

  check('a.pth.tar: no such file')

  def spoil(checkpoint):
    state_dict = checkpoint['state_dict']
    state_dict.pop('gconv_output.bias')
    state_dict['odd'] = torch.zeros(2)
    state_dict['gconv_input.0.gconv.bias'] = torch.zeros(9)

  write(path, change=spoil)
  check(
    'gconv_output.bias is missing',
    "'odd' is extra",
    'gconv_input.0.gconv.bias has shape (9,), not (4,)',
  )
  write(
    path, change=lambda c: c.update(state_dict={'fc.weight': torch.ones(1)})
  )
  check('neither SemGCN')
  write(path, change=lambda c: c['optimizer']['state'].pop(0))
  check('its optimizer is not Adam')
  write(path)
  whole = path.read_bytes()
  for length in (*range(0, 400, 3), *range(400, len(whole), len(whole) // 20)):
    path.write_bytes(whole[:length])
    check('a.pth.tar: ')
  path.write_text('hello')
  check('a.pth.tar: ')
  path.write_bytes(b'')
  check('a.pth.tar: ')
  torch.save([1, 2], path)
  check('not a checkpoint of the released code')
  trace = tmp_path.parent / f'{tmp_path.name}_it_ran'
  write(path, change=lambda c: c.update(state_dict=Hostile(str(trace))))
  check('a.pth.tar: refused')
  assert not trace.exists()


def test_nothing_is_overwritten(tmp_path):
  path = tmp_path / 'a.pth.tar'
  write(path)
  before = path.read_bytes()
  (tmp_path / 'run').mkdir()
  with pytest.raises(SettingError, match='`output=.*exists; name a new folder'):
    torch_runs.import_run(path, tmp_path / 'run', {})
  torch_runs.import_run(path, tmp_path / 'new', {})
  with pytest.raises(SettingError, match='`output=.*exists; name a new file'):
    torch_runs.export_run(tmp_path / 'new', 'last', path)
  assert path.read_bytes() == before


def test_without_torch_there_is_a_hint(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  with pytest.raises(UserError, match=r'pip install -e "\.\[torch\]"'):
    torch_files.read(tmp_path / 'a.pth.tar')


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


@pytest.mark.parametrize(
  'fields',
  [
    {'conv': 'vanilla'},
    {'conv': 'gat'},
    {'model': 'st_gcn'},
    {'model': 'semgcn_temporal'},
    {'refine': 'pose_grammar'},
    {'backbone': 'tiny', 'image_dir': 'frames'},
    {'input_joints': ('coco',)},
  ],
)
def test_networks_that_were_never_released(tmp_path, fields):
  settings = presets.preset('h36m', **fields)
  config.save(settings, tmp_path / 'config.json')
  name, value = next(iter(fields.items()))
  value = value if isinstance(value, str) else ','.join(value)
  with pytest.raises(UserError, match=f'was trained with `{name}={value}`'):
    torch_runs.export_run(tmp_path, 'best', tmp_path / 'out.pth.tar')
