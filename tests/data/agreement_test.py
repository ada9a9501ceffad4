"""2D, 3D and boxes that contradict each other."""

import numpy as np
import pytest

from semgcn_jax.data.agreement import check_boxes, check_poses
from semgcn_jax.data.synthetic import generate
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import H36M


@pytest.fixture(scope='module')
def seen():
  """Poses before cameras of unknown focal lengths, and their pixels."""
  rng = np.random.default_rng(0)
  clips = [clip for clips in generate(0).values() for clip in clips.values()]
  poses = np.concatenate(clips)[::37, :, [0, 2, 1]] * (1, -1, 1)
  poses = poses - poses[:, :1] + (0.3, -0.1, 4)
  focal = rng.uniform(300, 1500, (len(poses), 1, 1))
  pixels = focal * poses[..., :2] / poses[..., 2:] + rng.uniform(0, 500, (1, 2))
  return pixels + rng.normal(0, 2, pixels.shape), poses


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda p: p * (1, -1, 1), 'y of the poses points up'),
    (lambda p: p * (-1, 1, 1), 'mirrored; negate x'),
    (lambda p: p * (-1, -1, 1), 'x and y of the poses are both negated'),
    (lambda p: p[:, H36M.mirror_order], 'left and right joints are exchanged'),
    (lambda p: p[:, ::-1], 'off by .* of the same images'),
    (lambda p: np.roll(p, 50, axis=1), 'contradict'),
  ],
)
def test_poses_that_contradict_keypoints(seen, change, message):
  pixels, poses = seen
  check_poses(pixels, poses, H36M, 'f')
  with pytest.raises(UserError, match=f'f: .*{message}'):
    check_poses(pixels, change(poses), H36M, 'f')


def test_boxes_of_another_kind(seen):
  pixels, _ = seen
  low, high = pixels.min(axis=1) - 5, pixels.max(axis=1) + 5
  check_boxes(np.hstack([low, high - low]), pixels, 'f')
  check_boxes(np.tile([0, 0, 4000, 4000], (len(pixels), 1)), pixels, 'f')
  with pytest.raises(UserError, match='f: boxes seem to be left, top, right'):
    check_boxes(np.hstack([low, high]), pixels, 'f')
  centers = np.hstack([(low + high) / 2, high - low])
  with pytest.raises(UserError, match='f: boxes seem to be center, width'):
    check_boxes(centers, pixels, 'f')
