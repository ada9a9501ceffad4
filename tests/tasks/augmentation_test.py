import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.config import presets
from semgcn_jax.data import datasets
from semgcn_jax.data.image_aligned import bone_length_sum
from semgcn_jax.geometry import cameras
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.tasks import augmentation

SETTINGS = presets.preset('synthetic', downsample=12, recipe='released')


@pytest.fixture(scope='module')
def train():
  return datasets.load(SETTINGS.data, H36M).train


def batch_of(train, count=200):
  rows = np.linspace(0, len(train) - 1, count).astype(int)
  names = ('inputs', 'targets', 'roots', 'cameras')
  return {name: jnp.asarray(getattr(train, name)[rows]) for name in names}


def virtual(train, batch, seed=0, **ranges):
  settings = SETTINGS.replace(**ranges)
  lenses = augmentation.make_lenses(train.camera_list)
  key = jax.random.PRNGKey(seed)
  return augmentation.virtual_cameras(
    key, batch, lenses, settings.augmentation, H36M
  )


def numpy_projection(train, batch, poses):
  """By the NumPy cameras, in float64."""
  roots = np.asarray(batch['roots'], np.float64)
  return np.stack(
    [
      cameras.normalize_screen(
        cameras.project(np.asarray(pose, np.float64) + root, camera), camera
      )
      for pose, root, camera in zip(
        poses,
        roots,
        [train.camera_list[i] for i in batch['cameras']],
        strict=True,
      )
    ]
  )


def test_every_camera_of_human36m_projects_as_in_numpy():
  listed = [c for of in cameras.h36m_cameras().values() for c in of]
  lenses = augmentation.make_lenses(listed)
  rng = np.random.default_rng(0)
  points = rng.uniform(-1, 1, (len(listed), 50, 3)) + [0, 0, 5]
  points[:, :5, 0] *= 20  # Beyond the clip.
  ours = lenses.lens.project(jnp.asarray(points, jnp.float32))
  for view, camera, projected in zip(points, listed, ours, strict=True):
    expected = cameras.normalize_screen(cameras.project(view, camera), camera)
    np.testing.assert_allclose(projected, expected, rtol=0, atol=1e-5)
  for up, camera in zip(lenses.up, listed, strict=True):
    ground = np.array(camera.translation)
    high = cameras.world_to_camera(ground + (0, 0, 1), camera)
    np.testing.assert_allclose(up, high, rtol=0, atol=1e-6)


def test_zero_ranges_give_back_the_files_own_2d(train):
  batch = batch_of(train)
  same = virtual(train, batch)
  np.testing.assert_allclose(same['inputs'], batch['inputs'], rtol=0, atol=1e-5)
  np.testing.assert_allclose(
    same['targets'], batch['targets'], rtol=0, atol=1e-6
  )


@pytest.mark.slow
def test_turning_a_pose_is_turning_it_in_the_world(train):
  batch = batch_of(train)
  turned = virtual(train, batch, virtual_turn=180.0)
  expected = numpy_projection(train, batch, turned['targets'])
  np.testing.assert_allclose(turned['inputs'], expected, rtol=0, atol=1e-5)
  angles = []
  for i in range(len(batch['targets'])):
    camera = train.camera_list[int(batch['cameras'][i])]
    before, after = (
      cameras.rotate(camera.orientation, np.asarray(b['targets'][i], float))
      for b in (batch, turned)
    )
    # About the world's vertical: heights stay, the ground plan turns.
    np.testing.assert_allclose(after[:, 2], before[:, 2], atol=1e-5)
    plan = after[:, 0] + 1j * after[:, 1], before[:, 0] + 1j * before[:, 1]
    angle = np.angle((plan[0] * plan[1].conj()).sum())
    np.testing.assert_allclose(plan[0], plan[1] * np.exp(1j * angle), atol=1e-5)
    angles.append(angle)
  # Uniform over the circle.
  counts, _ = np.histogram(angles, bins=4, range=(-np.pi, np.pi))
  assert counts.min() > 30
  small = np.asarray(virtual(train, batch, virtual_turn=10.0)['targets'])
  cosine = (small * batch['targets']).sum(-1) / np.maximum(
    (np.asarray(batch['targets']) ** 2).sum(-1), 1e-9
  )
  # Joint 0 is the pivot; no other direction changes by more than 10 degrees.
  assert 0.98 < cosine[:, 1:].min() < 0.999


def test_pitch_is_about_the_cameras_horizontal_through_the_pelvis(train):
  batch = batch_of(train)
  pitched = virtual(train, batch, virtual_pitch=20.0)
  before, after = (np.asarray(b['targets']) for b in (batch, pitched))
  np.testing.assert_allclose(after[..., 0], before[..., 0], atol=1e-6)
  plan = [t[..., 1] + 1j * t[..., 2] for t in (before, after)]
  angle = np.degrees(np.angle((plan[1] * plan[0].conj()).sum(axis=1)))
  assert -20.001 < angle.min() < -15 and 15 < angle.max() < 20.001
  expected = numpy_projection(train, batch, pitched['targets'])
  np.testing.assert_allclose(pitched['inputs'], expected, atol=1e-5)
  # The pelvis is the pivot.
  np.testing.assert_allclose(
    pitched['inputs'][:, 0], batch['inputs'][:, 0], atol=1e-5
  )


@pytest.fixture(scope='module')
def undistorted(train):
  """Its cameras project by plain division."""
  none = {'radial_distortion': (0, 0, 0), 'tangential_distortion': (0, 0)}
  listed = [dataclasses.replace(c, **none) for c in train.camera_list]
  return dataclasses.replace(train, camera_list=tuple(listed))


def lenses_of(train, batch):
  lenses = augmentation.make_lenses(train.camera_list)
  rows = np.asarray(batch['cameras'])
  return lenses.lens.focal[rows], lenses.lens.center[rows]


def test_the_zoom_scales_about_the_principal_point(undistorted):
  batch = batch_of(undistorted)
  _, center = lenses_of(undistorted, batch)
  own = virtual(undistorted, batch)['inputs'] - center
  zoomed = virtual(undistorted, batch, virtual_zoom=0.1)['inputs'] - center
  ratio = np.median(zoomed / own, axis=(1, 2))
  np.testing.assert_allclose(zoomed, own * ratio[:, None, None], atol=1e-5)
  assert 1 / 1.1001 < ratio.min() < 0.95 and 1.05 < ratio.max() < 1.1001


def test_the_shift_moves_the_root_alone(undistorted):
  batch = batch_of(undistorted)
  shifted = virtual(undistorted, batch, virtual_shift=0.3)
  np.testing.assert_array_equal(shifted['targets'], batch['targets'])
  focal, center = lenses_of(undistorted, batch)
  rays = np.asarray((shifted['inputs'] - center) / focal, np.float64)
  shifts = []
  for ray, pose, root in zip(
    rays, np.asarray(batch['targets']), np.asarray(batch['roots']), strict=True
  ):
    # ray_x (pose_z + z) = pose_x + x for every joint, and so for y: linear in
    # the root x, y, z.
    equations, values = [], []
    for joint in range(16):
      for axis in range(2):
        row = np.zeros(3)
        row[axis], row[2] = 1, -ray[joint, axis]
        equations.append(row)
        values.append(ray[joint, axis] * pose[joint, 2] - pose[joint, axis])
    moved, *_ = np.linalg.lstsq(np.array(equations), np.array(values))
    shifts.append(moved - root)
  shifts = np.array(shifts)
  assert np.abs(shifts).max() < 0.301
  np.testing.assert_allclose(shifts.std(axis=0), 0.3 / 3**0.5, rtol=0.15)
  np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=0.04)


def test_noise_and_missing_joints(train):
  batch = batch_of(train)
  settings = SETTINGS.replace(noise=5.0)
  key = jax.random.PRNGKey(0)
  noisy = augmentation.corrupt(key, batch, H36M, settings.augmentation)
  np.testing.assert_array_equal(noisy['targets'], batch['targets'])
  deviation = np.std(noisy['inputs'] - batch['inputs'])
  np.testing.assert_allclose(deviation, 5 * 2 / 1000, rtol=0.05)
  settings = SETTINGS.replace(missing=0.2)
  inputs = augmentation.corrupt(key, batch, H36M, settings.augmentation)[
    'inputs'
  ]
  changed = np.asarray((inputs != batch['inputs']).any(axis=-1))
  assert not changed[:, 0].any()
  np.testing.assert_allclose(changed[:, 1:].mean(), 0.2, atol=0.03)
  for frame, joint in np.argwhere(changed):
    parent = H36M.parents[joint]
    np.testing.assert_array_equal(
      inputs[frame, joint], batch['inputs'][frame, parent]
    )


def test_nothing_asked_for_changes_nothing(train):
  batch = batch_of(train)
  same = augmentation.augment(
    jax.random.PRNGKey(0),
    batch,
    config=SETTINGS.augmentation,
    skeleton=H36M,
    lenses=None,
  )
  assert same is batch


@pytest.mark.slow
def test_everything_is_random_by_the_key_alone(train):
  batch = batch_of(train, 20)
  settings = SETTINGS.replace(
    virtual_turn=180.0, flip=True, noise=1.0, missing=0.1
  )

  def augmented(seed):
    return augmentation.augment(
      jax.random.PRNGKey(seed),
      batch,
      config=settings.augmentation,
      skeleton=H36M,
      lenses=augmentation.make_lenses(train.camera_list),
    )

  first, again, other = augmented(0), augmented(0), augmented(1)
  np.testing.assert_array_equal(first['inputs'], again['inputs'])
  assert not np.allclose(first['inputs'], other['inputs'])
  # A turned and mirrored pose keeps the lengths of its bones.
  lengths = [
    np.sort(bone_length_sum(np.asarray(b['targets']), H36M))
    for b in (batch, first)
  ]
  np.testing.assert_allclose(*lengths, rtol=1e-5)


def test_pairs_know_their_cameras(train):
  batch = batch_of(train)
  expected = numpy_projection(train, batch, batch['targets'])
  np.testing.assert_allclose(batch['inputs'], expected, rtol=0, atol=1e-5)
