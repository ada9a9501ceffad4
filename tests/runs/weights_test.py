"""Weights as one file, and in the box."""

import dataclasses
import pathlib
import shutil

import jax
import numpy as np
import pytest
from command_line import fails, run
from tiny import TINY

from semgcn_jax import weights
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import H36M, save_skeleton
from semgcn_jax.models.build import abstract_variables, count_parameters
from semgcn_jax.runs.networks import restore_network
from semgcn_jax.training.loop import train


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('weights') / 'run'
  train(TINY.replace(epochs=1, num_seeds=2, seed=4), workdir)
  return workdir


@pytest.mark.slow
def test_exported_weights_are_those_of_the_run(trained, tmp_path):
  output = tmp_path / 'small'
  code, out, err = run(
    'export', f'--checkpoint={trained}', f'--output={output}', '--only_seed=5'
  )
  assert (code, err) == (0, ''), err
  assert sorted(path.name for path in output.iterdir()) == [
    *('config.json', 'skeleton.json', 'weights.npz'),
  ]
  run_, small = restore_network(trained), restore_network(output)
  assert small.config.training.seeds == range(5, 6)
  for a, b in zip(
    jax.tree.leaves(run_.of_seed(5)), jax.tree.leaves(small.of_seed()),
    strict=True,
  ):  # fmt: skip
    np.testing.assert_array_equal(a, b)
  fails(
    'export', f'--checkpoint={trained}', f'--output={output}',
    status=2, message='exists; name a new folder',
  )  # fmt: skip


@pytest.mark.slow
def test_damaged_weights_are_refused(tmp_path):
  folder = tmp_path / 'cmu'
  shutil.copytree(weights.find('cmu'), folder)
  path = folder / 'weights.npz'
  content = path.read_bytes()
  for end in (0, 100, len(content) // 2, len(content) - 30):
    path.write_bytes(content[:end])
    with pytest.raises(UserError, match='weights.npz: is damaged'):
      restore_network(folder)
  arrays = dict(np.load(weights.find('cmu') / 'weights.npz'))
  name = next(name for name in arrays if name.startswith('params'))
  whole = arrays[name]
  for bad in (whole[:-1], whole * np.nan, whole.astype(int)):
    np.savez(path, **arrays | {name: bad})
    with pytest.raises(UserError, match='weights.npz: '):
      restore_network(folder)
  np.savez(path, **arrays | {'more': 1})
  with pytest.raises(UserError, match='of another model'):
    restore_network(folder)
  np.savez(path, **arrays | {name: np.array([{}], object)})
  with pytest.raises(UserError, match='weights.npz: '):
    restore_network(folder)
  path.write_bytes(content)
  changed = dataclasses.replace(H36M, groups=())
  save_skeleton(changed, folder / 'skeleton.json')
  with pytest.raises(UserError, match='is not the skeleton that the weights'):
    restore_network(folder)
  with pytest.raises(SettingError, match='has only one epoch'):
    restore_network('cmu', '3')


@pytest.mark.parametrize('name', ['cmu', 'cmu-stream', 'cmu-video', 'hand'])
def test_the_box(name):
  network = restore_network(name)
  model = network.config.model
  assert count_parameters(model, network.skeleton) <= 1_500_000
  # Nothing checks them when they are read.
  wanted = abstract_variables(model, network.skeleton)
  assert jax.tree.map(np.shape, network.variables) == jax.tree.map(
    lambda leaf: leaf.shape, dict(wanted)
  )
  assert model.causal == (name == 'cmu-stream')


def test_a_folder_of_the_name_of_bundled_weights(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'cmu').mkdir()
  assert weights.find('cmu').parent == pathlib.Path(weights.__file__).parent
  assert weights.find('./cmu').samefile(tmp_path / 'cmu')
  with pytest.raises(UserError, match=r'\(cmu, cmu-stream, cmu-video, hand'):
    weights.find('./hand')


def test_the_box_is_small():
  assert weights.names() == ['cmu', 'cmu-stream', 'cmu-video', 'hand']
  box = weights.find('cmu').parent
  assert sum(path.stat().st_size for path in box.rglob('*.npz')) < 8e6
