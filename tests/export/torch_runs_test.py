import jax
import numpy as np
import pytest
from hostile import Hostile
from released import KINDS, fresh_state, make_state, same, torch, write

from semgcn_jax import config
from semgcn_jax.config import presets
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export import torch_files, torch_runs
from semgcn_jax.export.torch_names import entries
from semgcn_jax.geometry.skeletons import H36M, save_skeleton
from semgcn_jax.runs import checkpoints, networks
from semgcn_jax.training import optimizers


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
  ours = networks.restore_network(tmp_path / 'run').variables
  same(ours, state.variables)
  assert config.load(tmp_path / 'run' / 'config.json').model == settings.model


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
