"""Checks that the 2D, 3D and boxes of pictures belong together."""

from collections.abc import Mapping

import numpy as np

from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.pictures.crops import square_boxes

SAMPLE = 300  # Pairs to look at.
# The highest median distance of the keypoints from the projected poses, over
# the person's size.
_MISFIT = 0.15
_BETTER = 0.5  # Another reading is right if its distance is this share.
# Boxes are read wrongly if they hold less than this share of the keypoints, or
# are so many times larger than in a reading that holds nearly all of them.
_INSIDE, _LARGER, _HELD = 0.9, 1.5, 0.98


def check_poses(
  keypoints: np.ndarray, poses: np.ndarray, skeleton: Skeleton, source: str
) -> None:
  """Checks that poses project onto keypoints, through some camera.

  Args:
    keypoints: The keypoints, `[N, J, 2]`, pixels.
    poses: The poses, `[N, J, 3]`, metres, camera frame.
    skeleton: Their skeleton.
    source: The file, for the message.

  Raises:
    UserError: They do not; it says what is probably wrong.
  """
  rows = np.linspace(0, len(poses) - 1, min(SAMPLE, len(poses))).astype(int)
  keypoints, poses = keypoints[rows], poses[rows]
  given = _misfit(keypoints, poses)
  readings = {
    'y of the poses points up; negate it': poses * (1, -1, 1),
    'one of them is mirrored; negate x of the poses': poses * (-1, 1, 1),
    'x and y of the poses are both negated': poses * (-1, -1, 1),
  }
  if skeleton.left:
    swapped = poses[:, skeleton.mirror_order]
    readings['left and right joints are exchanged in one of them'] = swapped
  misfits = {why: _misfit(keypoints, other) for why, other in readings.items()}
  best = min(misfits, key=misfits.__getitem__)
  if misfits[best] < _BETTER * given:
    raise UserError(f'{source}: keypoints and poses contradict: {best}')
  if given > _MISFIT:
    raise UserError(
      f'{source}: keypoints and poses contradict: projected poses are off by'
      f" {100 * given:.0f}% of the person's size; are they of the same images?"
    )


def _misfit(keypoints: np.ndarray, poses: np.ndarray) -> float:
  """Returns the median distance of keypoints from projections, over the size.

  The focal length and the principal point of each pair are those that fit best.
  """
  rays = poses[..., :2] / poses[..., 2:]
  rays = rays - rays.mean(axis=1, keepdims=True)
  pixels = keypoints - keypoints.mean(axis=1, keepdims=True)
  square = np.maximum((rays * rays).sum(axis=(1, 2)), 1e-12)
  focal = np.maximum((rays * pixels).sum(axis=(1, 2)) / square, 0)
  off = np.linalg.norm(focal[:, None, None] * rays - pixels, axis=-1)
  size = np.linalg.norm(np.ptp(pixels, axis=1), axis=-1)
  return float(np.median(off.mean(axis=1) / np.maximum(size, 1e-6)))


def check_boxes(boxes: np.ndarray, keypoints: np.ndarray, source: str) -> None:
  """Checks that boxes are left, top, width and height.

  Args:
    boxes: The boxes, `[N, 4]`, pixels.
    keypoints: The keypoints, `[N, J, 2]`, pixels.
    source: The file, for the message.

  Raises:
    UserError: They seem to be corners, or centers and sizes.
  """
  first, second = boxes[:, :2], boxes[:, 2:]
  readings: Mapping[str, np.ndarray] = {
    'left, top, right and bottom': np.hstack([first, second - first]),
    'center, width and height': np.hstack([first - second / 2, second]),
  }
  inside = _held(square_boxes(boxes), keypoints)
  for name, other in readings.items():
    if (other[:, 2:] <= 0).any() or _held(other, keypoints) < _HELD:
      continue
    larger = boxes[:, 2:].prod(axis=1) / other[:, 2:].prod(axis=1)
    if inside < _INSIDE or np.median(larger) > _LARGER:
      raise UserError(
        f'{source}: boxes seem to be {name}; give left, top, width and height'
      )


def _held(boxes: np.ndarray, keypoints: np.ndarray) -> float:
  """Returns the share of keypoints inside their boxes."""
  first, last = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
  return float(((keypoints >= first) & (keypoints <= last)).mean())
