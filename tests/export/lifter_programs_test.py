"""Exported lifters of clips and streams, against the lifters themselves."""

import exported
import jax
import numpy as np
import pytest
from timed import SIZE, make_lifter, make_network, of_frames

from semgcn_jax import Lifter
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export import onnx_files, programs, stablehlo_files
from semgcn_jax.export.program import MAX_DIFFERENCE, largest_difference
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.runs.networks import Network
from semgcn_jax.runs.progress import Progress

FRAMES = 24


def program_of(lifter, **options):
  network = Network(lifter.config, H36M, lifter.variables, Progress(1))
  return programs.make_program(network, **options)


def two_people():
  """Two people, one on each side, who come and go, `[2, T, 17, 3]`."""
  left = of_frames(FRAMES)
  right = left.copy()
  right[..., 0] = np.where(right[..., 2] > 0, SIZE[0] - right[..., 0], 0)
  left[:3], left[9:12], right[20:] = 0, 0, 0
  left[15, 3:] = np.nan
  return np.stack([left, right]).astype(np.float32)


def cameras(focal, count):
  size = np.tile(np.float32(SIZE), (count, 1))
  return size, np.full(count, focal or 0, np.float32), size / 2


def clips_agree(call, lifter, rate):
  keypoints = two_people()
  for focal in (None, 900.0):
    length = np.float32([FRAMES, FRAMES - 5])
    poses, errors = call(keypoints, *cameras(focal, 2), length)
    for person, end in enumerate(map(int, length)):
      lifted = lifter.lift(
        *(keypoints[person, :end], SIZE),
        fps=rate,
        focal_length=focal,
        check=False,
      )
      assert lifted.num_missing == 3 * (person == 0)
      np.testing.assert_allclose(poses[person, :end], lifted.poses, atol=1e-4)
      np.testing.assert_allclose(errors[person, :end], lifted.errors, atol=1e-4)
      assert np.isnan(poses[person, end:]).all()
  nobody, _ = call(np.zeros_like(keypoints), *cameras(None, 2), length)
  assert np.isnan(nobody).all()


def streams_agree(call, program, lifter, rate):
  keypoints = two_people()
  streams = [lifter.stream(SIZE, fps=rate, check=False) for _ in range(2)]
  state = np.zeros((2, *program.inputs['state']), np.float32)
  for frame in range(FRAMES):
    given = keypoints[:, frame]
    poses, errors, state = call(given, *cameras(None, 2), state)
    for person, stream in enumerate(streams):
      lifted = stream(given[person])
      np.testing.assert_allclose(poses[person], lifted.poses, atol=1e-4)
      np.testing.assert_allclose(errors[person], lifted.errors, atol=1e-4)
    assert np.isnan(poses[0]).all() == (frame < 3)


def test_clips_are_lifted_as_by_the_lifter():
  lifter = make_lifter()
  program = program_of(lifter, frames=FRAMES)
  assert list(program.inputs)[-1] == 'length'
  clips_agree(
    jax.jit(program.function), lifter, float(program.notes['frame_rate'])
  )


def test_streams_are_lifted_as_by_the_lifter():
  lifter = make_lifter(causal=True)
  program = program_of(lifter)
  assert program.outputs == ('poses', 'errors', 'next_state')
  rate = float(program.notes['frame_rate'])
  streams_agree(jax.jit(program.function), program, lifter, rate)


def test_a_causal_network_may_also_take_clips():
  lifter = make_lifter(causal=True)
  program = program_of(lifter, frames=FRAMES)
  clips_agree(
    jax.jit(program.function), lifter, float(program.notes['frame_rate'])
  )


def test_clips_from_the_cameras_of_a_dataset_are_refused():
  network = make_network(recipe='best')
  with pytest.raises(UserError, match='over time that knows only the cameras'):
    programs.make_program(network)


def test_single_frames_are_no_clips():
  with pytest.raises(SettingError, match='`frames=8`.*single frames'):
    programs.make_program(exported.make(exported.LIFTER), frames=8)


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['onnx', 'stablehlo'])
@pytest.mark.parametrize('name', ['cmu-video', 'cmu-stream'])
def test_files_of_the_weights_in_the_box(name, ending, tmp_path):
  pytest.importorskip('jax2onnx' if ending == 'onnx' else 'flatbuffers')
  lifter, path = Lifter.load(name), tmp_path / f'lifter.{ending}'
  program = program_of(
    lifter, **{'frames': FRAMES} if name == 'cmu-video' else {}
  )
  if ending == 'onnx':
    assert onnx_files.write(program, path) <= MAX_DIFFERENCE
    call = onnx_files.load(path.read_bytes())
  else:
    assert stablehlo_files.write(program, path) <= MAX_DIFFERENCE
    call = stablehlo_files.read(path).call
  rate = float(program.notes['frame_rate'])
  assert rate == lifter.model.frame_rate
  if name == 'cmu-video':
    clips_agree(call, lifter, rate)
  else:
    streams_agree(call, program, lifter, rate)
  wrong = largest_difference(
    program, lambda *arrays: [2 * np.asarray(x) for x in call(*arrays)], (2,)
  )
  assert wrong > MAX_DIFFERENCE
