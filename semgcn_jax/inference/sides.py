"""Finds exchanged sides: keypoints named left that are right, and vice versa.

Detectors exchange the sides of a person for many frames in a row, above all of
those who turn around. Limbs do not jump, so the order of sides in which all
keypoints move least is found over the whole clip.
"""

import numpy as np

from semgcn_jax.geometry.joint_sets import mirror_order
from semgcn_jax.geometry.skeletons import H36M, JointSet, Skeleton
from semgcn_jax.simulation.points import OF_PEOPLE, Points

_EXCHANGE = 0.05  # The cost of an exchange, as motion relative to the person,
_EXCHANGED = 0.001  # and of a frame with other sides than the detector's.
_FARTHEST = 0.15  # Farther motion, as after a cut, counts as this much.
_SLOWEST = 8.0  # In slower clips people move too far between frames to tell.


def exchange(
  points: np.ndarray, frames: np.ndarray, of: Points = OF_PEOPLE
) -> np.ndarray:
  """Exchanges the sides of points `[T, P, 3]` in some frames, `[T]` bool."""
  return np.where(frames[:, None, None], points[:, of.mirror_order], points)


def exchange_joints(
  keypoints: np.ndarray,
  frames: np.ndarray,
  joint_set: JointSet,
  skeleton: Skeleton = H36M,
) -> np.ndarray:
  """Exchanges the sides of keypoints in some frames.

  Args:
    keypoints: The keypoints, `[..., J, 3]`, pixels and confidence.
    frames: Where to exchange them, `[...]` bool.
    joint_set: What they are.
    skeleton: The skeleton that they give.

  Returns:
    The keypoints of the joint set, `[..., J, 3]`.
  """
  order = mirror_order(joint_set, skeleton)
  return np.where(
    frames[..., None, None],
    keypoints[..., order, :],
    keypoints[..., : len(order), :],
  )


def find_exchanged(
  points: np.ndarray, fps: float, of: Points = OF_PEOPLE
) -> np.ndarray:
  """Finds the frames whose sides differ from those of the others.

  Of the two ways to tell one side from the other over the whole clip, this is
  the one that agrees with the detector more often. The most likely order is
  found by Viterbi's algorithm.

  Args:
    points: The points, `[T, P, 3]`, pixels and confidence, 0 where not found.
    fps: The frame rate of the clip; nothing is found below 8.
    of: What the points are; without pairs, nothing is found.

  Returns:
    Whether to exchange the sides of each frame, `[T]`.
  """
  if fps < _SLOWEST or not of.pairs:
    return np.zeros(len(points), bool)
  kept, crossed = _motions(points, of).tolist()
  # The least costs of paths that end as given, and exchanged.
  costs, came_from = (0.0, _EXCHANGED), []
  for stay, move in zip(kept[1:], crossed[1:], strict=True):
    move += _EXCHANGE
    ways = (
      (costs[0] + stay, costs[1] + move),
      (costs[0] + move, costs[1] + stay),
    )
    came_from.append([int(first > second) for first, second in ways])
    costs = min(ways[0]), min(ways[1]) + _EXCHANGED
  states = [int(costs[1] < costs[0])]
  for ways in reversed(came_from):
    states.append(ways[states[-1]])
  return np.array(states[::-1], bool)


def _motions(points: np.ndarray, of: Points) -> np.ndarray:
  """Measures how far pairs of points move from the last frame that has them.

  Returns:
    The mean distance relative to the person if the sides stay the same, and if
    they are exchanged, `[2, T]`, less the smaller of both.
  """
  left, right = (points[:, side] for side in np.array(of.pairs).T)
  both = (left[..., 2] > 0) & (right[..., 2] > 0)
  numbers = np.where(both, np.arange(len(both))[:, None], -1)
  last = np.maximum.accumulate(numbers, axis=0)
  before = np.concatenate([np.full((1, both.shape[1]), -1), last[:-1]])
  known = both & (before >= 0)
  rows, columns = np.maximum(before, 0), np.arange(both.shape[1])
  size = _size(points)

  def moved(now, then):
    distance = np.linalg.norm(now[..., :2] - then[rows, columns, :2], axis=-1)
    return np.minimum(distance / size, _FARTHEST)

  motions = np.stack(
    [
      moved(left, left) + moved(right, right),
      moved(left, right) + moved(right, left),
    ]
  )
  count = np.maximum(known.sum(axis=1), 1)
  motions = np.where(known, motions, 0).sum(axis=-1) / count
  return motions - motions.min(axis=0)


def _size(points: np.ndarray) -> float:
  """Measures a person: the median diagonal of the found points, pixels."""
  found = points[..., 2:] > 0
  low = np.where(found, points[..., :2], np.inf).min(axis=1)
  high = np.where(found, points[..., :2], -np.inf).max(axis=1)
  shown = found.any(axis=(1, 2))
  diagonal = np.linalg.norm(high[shown] - low[shown], axis=-1)
  return max(float(np.median(diagonal)), 1e-6) if len(diagonal) else 1.0
