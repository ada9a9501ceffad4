"""Checks whether keypoints are read as they were meant.

The number of keypoints does not tell their order. Read in the order of another
joint set, they are of no person, and the network expects large errors.
"""

import dataclasses
import logging

import numpy as np

from semgcn_jax.detections.clips import Clip
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS, joints_of
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.lifter import Lifter

_SAMPLE = 16  # Poses of a clip that are lifted in each order.
# Median errors that a network expects, metres: less is plausible; more, with
# poses that do not cover the keypoints, is of no person.
_PLAUSIBLE, _IMPLAUSIBLE = 0.09, 0.13
_OFF = 0.06  # Distance of poses from the keypoints, over the size of people.
_BETTER = 0.7  # Another order is right if its error is this share of the given.
_FEW, _BETTER_OF_FEW = 4, 0.5  # The same for fewer poses.


def check_reading(lifter: Lifter, clip: Clip) -> Clip:
  """Checks the joint set of a clip's keypoints, and corrects it if inferred.

  Args:
    lifter: Lifts single frames; its expected errors judge the orders.
    clip: The clip as read.

  Returns:
    The clip, with another joint set if its own was inferred and does not fit.

  Raises:
    UserError: The joint set was named, and another one is right.
  """
  keypoints = _sample(clip)
  if not len(keypoints):
    return clip
  log = logging.getLogger('semgcn_jax')
  given, off = _error(lifter, keypoints, clip)
  if given < _PLAUSIBLE:
    return clip
  better = _BETTER if len(keypoints) >= _FEW else _BETTER_OF_FEW
  count = clip.marked.num_joints
  errors = {
    name: _error(lifter, keypoints, dataclasses.replace(clip, joint_set=name))[
      0
    ]
    for name, own in JOINT_SETS.items()
    if own.num_joints == count and name != clip.joint_set
  }
  best = min(errors, key=errors.__getitem__, default='')
  if best and errors[best] < better * given:
    reason = (
      f'the {count} keypoints seem to be those of {best}, not'
      f' {clip.joint_set} (expected errors of {1000 * errors[best]:.0f} and'
      f' {1000 * given:.0f} mm)'
    )
    if clip.is_named:
      raise UserError(
        f'{clip.source}: {reason}; give `joint_set={best}`, or `check=false`'
      )
    log.warning(
      '%s: %s; they are read as %s, or name their `joint_set`',
      clip.source,
      reason,
      best,
    )
    return dataclasses.replace(clip, joint_set=best)
  if _lies(keypoints, clip.joint_set):
    turned = dataclasses.replace(clip, image_size=clip.image_size[::-1])
    if _error(lifter, keypoints[..., [1, 0, 2]], turned)[0] < better * given:
      log.warning(
        '%s: people lie on their sides; if y comes before x in it, exchange'
        ' them',
        clip.source,
      )
  elif given > _IMPLAUSIBLE and off > _OFF:
    log.warning(
      '%s: keypoints of %s in this place are of no person (the expected error'
      ' is %.0f mm); are `joint_set` and the order of the axes right?',
      clip.source,
      clip.joint_set,
      1000 * given,
    )
  return clip


def _sample(clip: Clip) -> np.ndarray:
  """Returns a few whole poses of everybody, `[N, J, 3]`."""
  count = clip.marked.num_joints
  parts = [np.asarray(p.keypoints)[:, :count] for p in clip.people]
  if not parts:
    return np.zeros((0, count, 3))
  keypoints = np.concatenate(parts)
  used = keypoints[:, clip.marked.used, 2] > 0
  keypoints = keypoints[used.mean(axis=-1) > 0.7].copy()
  rows = np.linspace(0, len(keypoints) - 1, min(_SAMPLE, len(keypoints)))
  keypoints = keypoints[rows.astype(int)]
  keypoints[..., 2] = np.minimum(keypoints[..., 2], 1)
  return keypoints


def _error(
  lifter: Lifter, keypoints: np.ndarray, clip: Clip
) -> tuple[float, float]:
  """Lifts keypoints in the order of a clip's joint set.

  Returns:
    The median expected error, metres, and the median distance between poses
    and keypoints over the size of the person.
  """
  lifted = lifter.lift(keypoints, clip.image_size, clip.joint_set, check=False)
  whole = np.isfinite(lifted.poses).all(axis=(1, 2))
  if not whole.any():
    return 0.0, 0.0
  seen = joints_of(keypoints, clip.marked)[whole]
  off = _distances(lifted.poses[whole, :, :2], seen)
  return float(np.median(lifted.errors[whole].mean(axis=-1))), float(off)


def _distances(poses: np.ndarray, seen: np.ndarray) -> float:
  """Scales poses `[N, 16, 2]` onto keypoints; returns their median distance."""
  found = (seen[..., 2:] > 0).astype(float)
  count = np.maximum(found.sum(axis=1, keepdims=True), 1)
  flat = poses - (poses * found).sum(axis=1, keepdims=True) / count
  xy = (
    seen[..., :2] - (seen[..., :2] * found).sum(axis=1, keepdims=True) / count
  )
  flat, xy = flat * found, xy * found
  scale = (flat * xy).sum(axis=(1, 2)) / (flat * flat).sum(axis=(1, 2))
  off = np.linalg.norm(scale[:, None, None] * flat - xy, axis=-1)
  size = np.linalg.norm(np.ptp(xy, axis=1), axis=-1)
  return float(
    np.median(off.sum(axis=1) / count[:, 0, 0] / np.maximum(size, 1))
  )


def _lies(keypoints: np.ndarray, joint_set: str) -> bool:
  """Whether the trunks of most people are horizontal."""
  seen = joints_of(keypoints, JOINT_SETS[joint_set])
  pelvis, thorax = (H36M.joints.index(name) for name in ('Pelvis', 'Thorax'))
  trunk = np.abs(seen[:, thorax, :2] - seen[:, pelvis, :2])
  return bool(np.median(trunk[:, 0] - trunk[:, 1]) > 0)
