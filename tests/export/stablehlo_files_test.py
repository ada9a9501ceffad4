import importlib.util

import exported
import numpy as np
import pytest
from conftest import ROOT

from semgcn_jax.errors import UserError
from semgcn_jax.export import programs, stablehlo_files
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.predictor import make_predictor


@pytest.mark.slow
@pytest.mark.parametrize('name', ['flip_test', 'gat'])
def test_a_file_computes_what_a_predictor_does(name, tmp_path):
  pytest.importorskip('flatbuffers')
  path = tmp_path / 'network.stablehlo'
  network = exported.make(exported.SETTINGS[name])
  program = programs.make_program(network)
  assert stablehlo_files.write(program, path) <= 1e-5
  # Nor where this package lies, nor who exported it.
  assert str(ROOT).encode() not in path.read_bytes()
  assert b'.py' not in path.read_bytes()
  read = stablehlo_files.read(path)
  assert read.platforms == ('cpu', 'cuda')
  predict = make_predictor(
    network.config, H36M, network.variables, batch_sizes=(4,)
  )
  for batch in (1, 5):
    inputs = np.random.default_rng(batch).normal(size=(batch, 16, 2))
    inputs = inputs.astype(np.float32)
    (poses,) = read.call(inputs)
    np.testing.assert_allclose(poses, predict(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_lifter(tmp_path):
  pytest.importorskip('flatbuffers')
  path = tmp_path / 'network.stablehlo'
  program = programs.make_program(exported.make(exported.LIFTER))
  assert stablehlo_files.write(program, path) <= 1e-5
  call = stablehlo_files.read(path).call
  poses, errors = call(*program.draw(3).values())
  assert poses.shape == (3, 16, 3) and errors.shape == (3, 16)


def test_files_that_are_none(tmp_path):
  pytest.importorskip('flatbuffers')
  with pytest.raises(UserError, match='No such file'):
    stablehlo_files.read(tmp_path / 'missing.stablehlo')
  path = tmp_path / 'a.stablehlo'
  path.write_bytes(b'nothing of the kind')
  with pytest.raises(UserError, match='damaged'):
    stablehlo_files.read(path)


def test_without_flatbuffers(tmp_path, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  program = programs.make_program(exported.make(exported.SETTINGS['vanilla']))
  with pytest.raises(UserError, match=r'"semgcn-jax\[onnx\]"'):
    stablehlo_files.write(program, tmp_path / 'a.stablehlo')
