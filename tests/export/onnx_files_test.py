import json
import sys

import exported
import numpy as np
import pytest

from semgcn_jax import Lifter
from semgcn_jax.errors import UserError
from semgcn_jax.export import onnx_files, programs
from semgcn_jax.export.program import MAX_DIFFERENCE
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.inference.predictor import make_predictor
from semgcn_jax.runs.networks import restore_network

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def packages():
  for name in ('jax2onnx', 'onnx', 'onnxruntime'):
    pytest.importorskip(name)


def written(network, tmp_path, **options):
  """Writes a network; returns a function that runs the file, and the model."""
  import onnx

  path = tmp_path / 'network.onnx'
  program = programs.make_program(network, **options)
  assert onnx_files.write(program, path) <= MAX_DIFFERENCE
  assert [each.name for each in tmp_path.iterdir()] == ['network.onnx']
  return onnx_files.load(path.read_bytes()), onnx.load(path)


@pytest.mark.parametrize('name', exported.SETTINGS)
def test_every_model_computes_what_a_predictor_does(name, tmp_path):
  network = exported.make(exported.SETTINGS[name])
  call, model = written(network, tmp_path)
  predict = make_predictor(
    network.config, H36M, network.variables, batch_sizes=(4,)
  )
  for batch in (0, 1, 2, 9):
    inputs = np.random.default_rng(batch).normal(size=(batch, 16, 2))
    inputs = inputs.astype(np.float32)
    if batch == 9:
      inputs[4, 3, 1] = np.nan
    (poses,) = call(inputs)
    expected = predict(inputs)
    assert poses.shape == (batch, 16, 3)
    assert np.isnan(poses).any(axis=(1, 2)).sum() == (batch == 9)
    scale = np.nanmax(abs(expected), initial=1e-6)
    np.testing.assert_allclose(poses / scale, expected / scale, atol=1e-5)
  assert [each.version for each in model.opset_import] == [17]
  assert model.ir_version == 8
  assert {node.op_type for node in model.graph.node}.isdisjoint(
    {'Loop', 'If', 'Scan'}
  )


def test_another_skeleton(tmp_path):
  skeleton = Skeleton(tuple('abcd'), (1, -1, 1, 2), left=(0,), right=(2,))
  call, model = written(
    exported.make(exported.SETTINGS['flip_test'], skeleton), tmp_path
  )
  (poses,) = call(np.full((3, 4, 2), 0.1, np.float32))
  assert poses.shape == (3, 4, 3)
  np.testing.assert_array_equal(poses[:, 1], 0)
  notes = {each.key: each.value for each in model.metadata_props}
  assert json.loads(notes['joints']) == list('abcd')
  assert json.loads(notes['parents']) == [1, -1, 1, 2]


@pytest.mark.parametrize('joint_set', ['coco', 'h36m_17', 'mediapipe'])
def test_the_weights_in_the_box_lift_as_the_lifter_does(joint_set, tmp_path):
  network = restore_network('cmu')
  call, model = written(
    network, tmp_path, joint_set=joint_set, licence='a licence'
  )
  rng = np.random.default_rng(0)
  count = JOINT_SETS[joint_set].num_joints
  keypoints = rng.uniform(200, 700, (9, count, 3)).astype(np.float32)
  keypoints[..., 2] = rng.uniform(0.1, 1, (9, count))
  keypoints[1, ::3, 2] = 0
  keypoints[2, 3, 0] = np.nan
  keypoints[3, 3:, 2] = 0  # Too few are left.
  size = np.tile(np.float32([1280, 720]), (9, 1))
  center = size / 2 + rng.uniform(-30, 30, (9, 2)).astype(np.float32)
  lifter = Lifter.of(network)
  for focal in (None, 900):
    known = np.full(9, focal or 0, np.float32)
    poses, errors = call(keypoints, size, known, center)
    expected = lifter.lift(
      keypoints, size, joint_set, center=center, focal_length=focal
    )
    assert expected.num_missing == 1
    np.testing.assert_allclose(poses, expected.poses, atol=1e-4)
    np.testing.assert_allclose(errors, expected.errors, atol=1e-4)
  notes = {each.key: each.value for each in model.metadata_props}
  assert notes['licence'] == 'a licence' and notes['joint_set'] == joint_set
  assert json.loads(notes['keypoint_names']) == list(
    JOINT_SETS[joint_set].names
  )
  given = [each.name for each in model.graph.input]
  assert given == ['keypoints', 'image_size', 'focal_length', 'center']
  assert all(name in notes for name in [*given, 'poses', 'errors'])


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
  monkeypatch.setattr(
    onnx_files,
    'load',
    lambda content: lambda x: [np.full((len(x), 16, 3), 9.0)],
  )
  program = programs.make_program(exported.make(exported.SETTINGS['vanilla']))
  with pytest.raises(UserError, match='not written'):
    onnx_files.write(program, tmp_path / 'a.onnx')
  assert not list(tmp_path.iterdir())


def test_without_the_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'jax2onnx', None)
  program = programs.make_program(exported.make(exported.SETTINGS['vanilla']))
  with pytest.raises(UserError, match=r'jax2onnx.*"semgcn-jax\[onnx\]"'):
    onnx_files.write(program, tmp_path / 'a.onnx')
