"""Tests how pictures are varied, together with what is true of them."""

import jax
import numpy as np
import pytest

from semgcn_jax.config import AugmentationConfig
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.tasks.image_augmentation import augment_images

SIZE = 64


def _batch(count=8):
  """Makes pictures with a white spot at the last joint of each pose."""
  rng = np.random.default_rng(0)
  inputs = rng.uniform(-0.4, 0.4, (count, 16, 2)).astype('f')
  images = np.zeros((count, SIZE, SIZE, 3), np.uint8)
  y, x = np.mgrid[:SIZE, :SIZE]
  for image, joints in zip(images, inputs, strict=True):
    column, row = (joints[15] + 1) / 2 * SIZE - 0.5
    image[(x - column) ** 2 + (y - row) ** 2 < 9] = 255
  # Seen from afar, the pose has the x and y of the picture.
  depth = rng.normal(0, 0.3, (count, 16, 1))
  targets = np.concatenate([inputs, depth], axis=-1).astype('f')
  return {'images': images, 'inputs': inputs, 'targets': targets}


def _spots(images):
  """Finds the middle of the white spot of each picture, normalised."""
  bright = np.asarray(images, np.float64).mean(axis=-1)
  bright = np.where(bright > 150, bright, 0)
  cells = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
  total = bright.sum(axis=(1, 2))
  x = (bright * cells).sum(axis=(1, 2)) / total
  y = (bright * cells[:, None]).sum(axis=(1, 2)) / total
  return np.stack([x, y], axis=-1)


def _augmented(batch, **settings):
  config = AugmentationConfig(**settings)
  return augment_images(jax.random.key(3), batch, config=config, skeleton=H36M)


@pytest.mark.parametrize(
  'settings', [{'image_turn': 60.0}, {'image_zoom': 0.3}]
)
def test_joints_stay_where_the_picture_shows_them(settings):
  batch = _batch()
  after = _augmented(batch, **settings)
  assert np.abs(after['inputs'] - batch['inputs']).max() > 0.05
  np.testing.assert_allclose(
    _spots(after['images']), after['inputs'][:, 15], atol=0.02
  )


def test_mirrored_poses_change_their_sides():
  batch = _batch()
  after = _augmented(batch, flip=True)
  changed = ~np.isclose(after['inputs'], batch['inputs']).all(axis=(1, 2))
  assert changed.any() and not changed.all()
  # The right wrist is now called the left one.
  spots = _spots(after['images'])
  np.testing.assert_allclose(
    spots[changed], after['inputs'][changed, 12], atol=0.02
  )
  np.testing.assert_array_equal(
    after['targets'][changed][..., 2],
    batch['targets'][changed][:, H36M.mirror_order, 2],
  )


def test_turning_keeps_depth_and_lengths():
  batch = _batch()
  after = _augmented(batch, image_turn=90.0, image_zoom=0.5)
  before, now = batch['targets'], np.asarray(after['targets'])
  np.testing.assert_array_equal(now[..., 2], before[..., 2])
  np.testing.assert_allclose(
    np.linalg.norm(now, axis=-1), np.linalg.norm(before, axis=-1), rtol=1e-5
  )


def test_colours_change_within_their_range():
  batch = _batch()
  batch['images'][:] = 100
  after = np.asarray(_augmented(batch, image_color=0.2)['images'])
  assert after.min() >= 100 * 0.8**2 - 1e-3
  assert after.max() <= 100 * 1.2**2 + 1e-3
  assert after.std(axis=(0, 1, 2)).min() > 1
  np.testing.assert_allclose(after.std(axis=(1, 2)), 0, atol=0.02)


def test_without_settings_nothing_changes():
  batch = _batch()
  after = _augmented(batch)
  for name, array in batch.items():
    np.testing.assert_array_equal(after[name], array)
