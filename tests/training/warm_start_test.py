"""Runs that start with the weights of another, or with those of a file."""

import shutil

import flax.traverse_util
import jax
import numpy as np
import optax
import pytest
from by_loops import random
from command_line import fails, run, start
from conftest import FLAGS
from tiny import TINY

from semgcn_jax import config
from semgcn_jax.config import presets
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.evaluation.evaluate import evaluate
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.predictor import load_predictor
from semgcn_jax.models.build import abstract_variables, build
from semgcn_jax.runs import checkpoints, networks
from semgcn_jax.training import warm_start as warm_start_lib
from semgcn_jax.training.loop import train
from semgcn_jax.training.state import TrainState, create_train_state
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
  train(SHORT, workdir)
  return workdir


@pytest.mark.slow
@pytest.mark.parametrize('frozen', [True, False])
def test_a_refined_run(lifter, tmp_path, frozen):
  settings = SHORT.replace(
    refine='pose_grammar', init_from=str(lifter), freeze_init=frozen
  )
  records = train(settings, tmp_path / 'run')
  before = best_weights(SHORT, lifter)
  after = best_weights(settings, tmp_path / 'run')
  for name, tree in before.items():
    kept = jax.tree.map(np.array_equal, tree, after[name]['lifter'])
    assert all(jax.tree.leaves(kept)) == frozen
  output = after['params']['grammar']['chain0_output']['kernel']
  assert np.abs(output).max() > 0  # It was zero.
  result = evaluate(tmp_path / 'run', 'best', {})
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
      variables = networks.take_seed(tree, settings.training, seed)
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
    train(settings, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_two_seeds_on_one_device_then_without_the_other_run(
  lifter, tmp_path, monkeypatch
):
  """As a user has it: the tests otherwise run on four simulated devices."""
  monkeypatch.setenv('XLA_FLAGS', ' '.join(FLAGS[1:]))
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
  assert '1 epoch done, none left' in out
  fails(
    *('train', *flags[1:], f'--workdir={tmp_path / "new"}'),
    status=2,
    message=f'--init_from={mine}: needs --refine',
  )


@pytest.mark.slow
def test_a_network_that_sees_time_starts_with_single_frames():
  settings = presets.preset('cmu_video', init_from='cmu', averaging=0.9)
  assert settings.model.is_temporal and settings.model.hid_dim == 128
  state = warm_start(create_train_state(settings, H36M), settings, H36M)
  source = networks.restore_network('cmu')
  shape = 2, 3, 16, settings.model.input_channels
  clip = random(*shape).astype(np.float32)
  single = build(source.config.model, H36M)
  wanted = single.apply(source.variables, clip)
  model = build(settings.model, H36M)
  for variables in (state.variables, state.averaged):
    found = model.apply(variables, clip)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.slow
def test_a_causal_network_starts_with_one_that_is_not(monkeypatch):
  settings = presets.preset('cmu_stream', init_from='cmu-video')
  assert settings.model.causal and settings.model.receptive_field == 27
  there = presets.preset('cmu_video', hid_dim=8, num_layers=1)
  small = there.replace(causal=True, init_from='other')
  state = start_from(monkeypatch, small, there)
  for variables in (state.variables, state.averaged):
    assert all((x == 1).all() for x in jax.tree.leaves(variables))
  with pytest.raises(SettingError, match='`receptive_field=27`: .* has 9'):
    start_from(monkeypatch, small, there.replace(receptive_field=9))


def test_only_a_preset_or_a_flag_changes_who_looks_back():
  for source, causal in (('cmu-video', False), ('cmu-stream', True)):
    settings = {'model': 'semgcn_temporal', 'recipe': 'wild'}
    found = presets.preset('synthetic', init_from=source, **settings)
    assert found.model.causal == causal
    found = presets.preset('cmu_video', init_from=source)
    assert not found.model.causal


@pytest.mark.parametrize(
  'flag', ['--lifter=runs/a', '--freeze_lifter', '--data_fps=25']
)
def test_the_old_flags_name_the_new(flag, tmp_path):
  name = flag[2:].partition('=')[0]
  new = {
    'lifter': 'init_from',
    'freeze_lifter': 'freeze_init',
    'data_fps': 'fps',
  }[name]
  fails(
    *('train', flag, f'--workdir={tmp_path / "run"}'),
    status=2,
    message=f'--{name}: is now called --{new}',
  )


IMAGES = presets.preset(
  'rendered_small', crop_size=32, hid_dim=8, num_layers=1, init_from='other'
)


def filled(settings, value):
  """Variables all of whose numbers are the same."""
  abstract = abstract_variables(settings.model, H36M)
  return jax.tree.map(lambda x: np.full(x.shape, value, x.dtype), abstract)


def state_of(variables):
  """A state without an optimizer."""
  return TrainState.create(
    apply_fn=lambda: None,
    tx=optax.identity(),
    **variables,
    rng=jax.random.PRNGKey(0),
    averaged=variables,
  )


def start_from(monkeypatch, settings, there):
  """Starts a run of zeros with another, whose weights are ones."""
  network = networks.Network(
    there, H36M, filled(there, 1), checkpoints.Progress()
  )
  monkeypatch.setattr(warm_start_lib, 'restore_network', lambda _: network)
  return warm_start(state_of(filled(settings, 0)), settings, H36M)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('fields', 'graph', 'note'),
  [
    ({}, True, 'the backbone, the 2D head and the graph network'),
    ({'stage': 'keypoints'}, False, 'the only parts it has trained'),
    ({'hid_dim': 16}, False, '2D head, as its graph network has hid_dim=16'),
    ({'pooled_features': False}, False, 'has pooled_features=False'),
    ({'crop_size': 64}, True, 'graph network; its images had crop_size=64'),
  ],
)
def test_what_comes_of_a_run_of_pictures(
  monkeypatch, caplog, fields, graph, note
):
  state = start_from(monkeypatch, IMAGES, IMAGES.replace(**fields))
  for variables in (state.variables, state.averaged):
    for tree in variables.values():
      for part, values in tree.items():
        taken = graph or part != 'graph'
        assert all((x == taken).all() for x in jax.tree.leaves(values)), part
  (message,) = caplog.messages
  assert note in message


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'backbone': 'resnet18'}, '`backbone=tiny`: `init_from=other` has resnet'),
    ({'backbone': ''}, '`init_from=other`: takes keypoints, not images'),
  ],
)
def test_a_run_of_another_backbone(monkeypatch, fields, message):
  there = presets.preset('rendered_small', **fields)
  with pytest.raises(SettingError, match=message):
    start_from(monkeypatch, IMAGES, there)


def write_backbone(path, settings, change):
  """The file of a backbone whose weights are ones, with the changed kernel."""
  variables = filled(settings, 1)
  arrays = flax.traverse_util.flatten_dict(
    {name: tree['backbone'] for name, tree in variables.items()}, sep='/'
  )
  name = next(n for n in arrays if n.endswith(change[0]))
  arrays[name] = change[1](arrays[name])
  np.savez(path, **arrays)


@pytest.mark.parametrize('kind', ['f2', 'f4', 'f8'])
def test_weights_of_any_precision_become_float32(tmp_path, kind):
  path = tmp_path / 'weights.npz'
  settings = IMAGES.replace(init_from='', backbone_weights=str(path))
  write_backbone(path, settings, ('kernel', lambda x: x.astype(kind)))
  state = warm_start(state_of(filled(settings, 0)), settings, H36M)
  for x in jax.tree.leaves(state.params['backbone']):
    assert x.dtype == np.float32 and (x == 1).all()
  assert not jax.tree.leaves(state.params['head'])[0].any()


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (('kernel', lambda x: x.astype(str)), 'is <U'),
    (('kernel', lambda x: x * 1j), 'is complex64'),
    (('kernel', lambda x: x.astype(int)), 'is int64'),
    (('kernel', lambda x: x * np.nan), 'is not finite'),
    (('kernel', lambda x: x.astype('f8') * 1e99), 'is not finite'),
    (('var', lambda x: -x), 'is below zero'),
  ],
)
def test_weights_that_cannot_be_right(tmp_path, change, message):
  path = tmp_path / 'weights.npz'
  settings = IMAGES.replace(init_from='', backbone_weights=str(path))
  write_backbone(path, settings, change)
  with pytest.raises(UserError, match=f'{change[0]} {message}') as raised:
    warm_start(state_of(filled(settings, 0)), settings, H36M)
  assert '\n' not in str(raised.value)
