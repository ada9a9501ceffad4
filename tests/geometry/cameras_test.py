import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from semgcn_jax.errors import UserError
from semgcn_jax.geometry import cameras

ALL = [
  (subject, index) for subject in cameras.H36M_SUBJECTS for index in range(4)
]


def camera_of(subject, index):
  return cameras.h36m_cameras()[subject][index]


def test_seven_subjects_with_four_cameras():
  assert tuple(cameras.h36m_cameras()) == cameras.H36M_SUBJECTS
  assert {len(c) for c in cameras.h36m_cameras().values()} == {4}


@pytest.mark.parametrize('subject, index', ALL)
def test_round_trips(subject, index):
  camera = camera_of(subject, index)
  points = np.random.default_rng(0).uniform(-2, 2, size=(3, 5, 3))
  there = cameras.world_to_camera(points, camera)
  np.testing.assert_allclose(
    cameras.camera_to_world(there, camera), points, atol=1e-12
  )
  pixels = np.random.default_rng(1).uniform(0, 1000, size=(3, 5, 2))
  screen = cameras.normalize_screen(pixels, camera)
  np.testing.assert_allclose(
    cameras.unnormalize_screen(screen, camera), pixels, atol=1e-9
  )


def test_world_to_camera_by_rotation_matrix():
  camera = camera_of('S9', 2)
  w, x, y, z = camera.orientation
  matrix = np.array(
    [
      [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
      [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
      [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
  )
  point = np.array([0.3, -0.2, 1.1])
  np.testing.assert_allclose(
    cameras.world_to_camera(point, camera),
    matrix.T @ (point - np.array(camera.translation)),
    atol=1e-6,
  )


def test_projection_written_out():
  camera = camera_of('S1', 0)
  x, y = 0.3, -0.2
  (k1, k2, k3), (p1, p2) = (
    camera.radial_distortion,
    camera.tangential_distortion,
  )
  r2 = x**2 + y**2
  factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * x + p2 * y
  expected = [
    camera.focal_length[0] * (x * factor + p1 * r2) + camera.center[0],
    camera.focal_length[1] * (y * factor + p2 * r2) + camera.center[1],
  ]
  np.testing.assert_allclose(
    cameras.project(np.array([4 * x, 4 * y, 4.0]), camera), expected
  )


def test_lenses_project_alike_in_numpy_and_jax():
  lenses = [camera_of(*which).lens for which in ALL]
  points = np.random.default_rng(0).uniform(-1, 1, (len(ALL), 50, 3))
  points += [0, 0, 3]
  stacked = cameras.Lens(
    *(
      jnp.asarray(np.stack(field)[:, None], jnp.float32)
      for field in zip(*lenses, strict=True)
    )
  )
  ours = jax.jit(lambda lens, points: lens.project(points))(
    stacked, jnp.asarray(points, jnp.float32)
  )
  for which, view, pixels in zip(ALL, points, ours, strict=True):
    expected = cameras.project(view, camera_of(*which))
    np.testing.assert_allclose(pixels, expected, atol=0.01)


def test_a_pinhole_has_no_end():
  lens = cameras.Lens(np.array(100.0), np.array((10.0, 20.0)))
  pixels = lens.project(np.array([[1.0, -2.0, 4.0], [30.0, 0.0, 3.0]]))
  np.testing.assert_allclose(pixels, [[35, -30], [1010, 20]])


@pytest.mark.parametrize('degrees', [-20.0, 0.0, 35.0])
def test_up_and_pitch(degrees):
  # A camera that looks ahead along the ground, then down.
  turn = Rotation.from_euler('XZX', (-90, 0, -degrees), degrees=True)
  camera = cameras.Camera(
    orientation=tuple(np.roll(turn.as_quat(), 1)),
    translation=(1.0, 2.0, 3.0),
    focal_length=(900.0, 900.0),
    center=(500.0, 400.0),
    width=1000,
    height=800,
  )
  angle = np.radians(degrees)
  up = (0, -np.cos(angle), -np.sin(angle))
  np.testing.assert_allclose(camera.up, up, atol=1e-12)
  assert camera.pitch == pytest.approx(degrees)
  above = np.array(camera.translation) + (0, 0, 1)
  np.testing.assert_allclose(
    cameras.world_to_camera(above, camera), up, atol=1e-12
  )


def test_screen_corners():
  camera = camera_of('S1', 0)  # 1000 x 1002.
  corners = np.array([[0, 0], [1000, 1002]])
  np.testing.assert_allclose(
    cameras.normalize_screen(corners, camera), [[-1, -1.002], [1, 1.002]]
  )


CAMERA = {
  'orientation': [0, 1, 0, 0],
  'translation': [1, 2, 3],
  'focal_length': [900, 901],
  'center': [500, 400],
  'width': 1000,
  'height': 800,
}


def test_cameras_from_json(tmp_path):
  path = tmp_path / 'cameras.json'
  other = CAMERA | {
    'radial_distortion': [0.1, 0.2, 0.3],
    'tangential_distortion': [0.4, 0.5],
  }
  path.write_text(json.dumps({'*': [CAMERA], 'S1': [other, CAMERA]}))
  loaded = cameras.load_cameras(str(path))
  assert loaded['S1'][0].radial_distortion == (0.1, 0.2, 0.3)
  assert loaded['S1'][1] == loaded['*'][0]
  assert loaded['*'][0].tangential_distortion == (0, 0)
  h36m = {
    subject: [dataclasses.asdict(camera) for camera in of_subject]
    for subject, of_subject in cameras.h36m_cameras().items()
  }
  path.write_text(json.dumps(h36m))
  for subject, expected in cameras.h36m_cameras().items():
    for camera, same in zip(
      cameras.load_cameras(str(path))[subject], expected, strict=True
    ):
      for name, value in dataclasses.asdict(camera).items():
        np.testing.assert_allclose(value, getattr(same, name), rtol=1e-15)


@pytest.mark.parametrize(
  'change',
  [
    {'orientation': [1, 1, 0, 0]},
    {'center': [1, 2, 3]},
    {'focal_length': ['a', 'b']},
    {'translation': [1, 2, float('nan')]},
    {'width': 0},
    {'colour': 'red'},
  ],
)
def test_bad_cameras(tmp_path, change):
  path = tmp_path / 'cameras.json'
  path.write_text(json.dumps({'S1': [CAMERA | change]}))
  with pytest.raises(UserError, match=r'cameras\.json`: not cameras'):
    cameras.load_cameras(str(path))


def test_files_that_are_no_cameras(tmp_path):
  path = tmp_path / 'cameras.json'
  for text in ('[]', '{"S1": []}', '{', '{"S1": [{}]}', '[' * 100_000):
    path.write_text(text)
    with pytest.raises(UserError, match='not cameras'):
      cameras.load_cameras(str(path))
  with pytest.raises(UserError, match='No such file'):
    cameras.load_cameras(str(tmp_path / 'none.json'))
