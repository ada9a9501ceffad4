import jax
import numpy as np
import pytest
from drawn import make_scenes, standing
from scipy.spatial.transform import Rotation

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation import drawn_people, scenes


@pytest.fixture(scope='module')
def poses():
  return standing()


@pytest.fixture(scope='module')
def made():
  return make_scenes()


def test_a_scene_does_not_depend_on_the_others(poses, made):
  part, views = scenes.make(poses[[7, 3]], np.array([7, 3]), seed=4, train=True)
  for whole, some in zip(
    jax.tree.leaves(made[0]), jax.tree.leaves(part), strict=True
  ):
    np.testing.assert_array_equal(whole[np.array([7, 3])], some)
  np.testing.assert_array_equal(made[1].screen[[7, 3]], views.screen)


def test_training_and_testing_have_other_scenes(poses, made):
  test, views = scenes.make(poses, np.arange(12), seed=4, train=False)
  assert not set(made[1].people) & set(views.people)
  for name in ('colors', 'light', 'tones', 'waves', 'zoom'):
    rows = [
      {tuple(np.ravel(row)) for row in getattr(scene, name)}
      for scene in (made[0], test)
    ]
    assert not rows[0] & rows[1]


def test_cameras_project_the_world_to_the_picture(poses, made):
  scene, views = made
  someone = drawn_people.make(4, views.people)
  world = drawn_people.reshape(poses, someone)
  for i, camera in enumerate(views.cameras(200)):
    turn = Rotation.from_quat(np.roll(camera.orientation, -1))
    seen = turn.inv().apply(world[i] - camera.translation)
    np.testing.assert_allclose(seen, views.joints[i], atol=1e-9)
    assert (seen[:, 2] > 1).all()
    pixels = seen[:, :2] / seen[:, 2:] * camera.focal_length + camera.center
    np.testing.assert_allclose(pixels, 100 + 100 * views.screen[i], atol=1e-6)
    # The world's vertical points up in the picture, where y points down.
    up = turn.inv().apply((0, 0, 1))
    np.testing.assert_allclose(scene.planes[i, 0], up, atol=1e-6)
    assert up[1] < -0.7


def test_the_azimuth_is_limited_about_where_people_face(poses, made):
  half = np.radians(30)
  turned = Rotation.from_euler('z', 70, degrees=True).apply(
    poses.reshape(-1, 3)
  )
  for given in (poses, turned.reshape(poses.shape)):
    _, views = scenes.make(
      given, np.arange(12), seed=4, train=True, azimuth=30.0
    )
    for i, camera in enumerate(views.cameras(200)):
      turn = Rotation.from_quat(np.roll(camera.orientation, -1))
      ahead = turn.apply((0, 0, 1))[:2]
      right, left = (H36M.joints.index(name) for name in ('RHip', 'LHip'))
      hips = given[i, left, :2] - given[i, right, :2]
      # Who looks at the camera has the left hip to the right of its picture.
      facing = np.array((hips[1], -hips[0]))
      angle = np.arccos(
        -ahead @ facing / np.linalg.norm(ahead) / np.linalg.norm(facing)
      )
      assert angle < half + 0.05  # The camera rolls a little.
      assert views.joints[i, left, 0] > views.joints[i, right, 0]
  np.testing.assert_array_equal(
    made[1].screen,
    scenes.make(poses, np.arange(12), seed=4, train=True, azimuth=180.0)[
      1
    ].screen,
  )


def test_people_fill_most_of_the_picture(made):
  scene, views = made
  assert np.abs(views.screen).max() < 1
  ends = np.concatenate([scene.starts, scene.ends], axis=1)
  screen = ends[..., :2] / ends[..., 2:] * views.zoom[:, None, None]
  size = np.ptp(screen, axis=1).max(axis=-1) / 2
  assert 0.5 < size.min() and size.max() < 0.9  # Without radii, which add.


def test_rooms_hold_their_people(made):
  scene = made[0]
  ends = np.stack([scene.starts, scene.ends], axis=2)
  above = np.einsum('nkei,npi->npke', ends, scene.planes)
  above -= np.asarray(scene.offsets)[:, :, None, None]
  # What is lowest stands on the floor; nobody is behind the wall.
  lowest = (above[:, 0] - scene.radii).min(axis=(1, 2))
  np.testing.assert_allclose(lowest, 0, atol=1e-5)
  assert above[:, 1].min() > 0 and scene.offsets.max() < 0
