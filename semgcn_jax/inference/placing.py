"""Estimates where people are, and how large, from a single camera."""

import warnings

import numpy as np

from semgcn_jax.config.choices import HEIGHT
from semgcn_jax.errors import SettingError, shortened
from semgcn_jax.geometry.skeletons import H36M, Skeleton, bone_vectors
from semgcn_jax.motion.path import SOLE

_SHARES = {'RKnee': 0.5, 'RAnkle': 0.5, 'LKnee': 0.5, 'LAnkle': 0.5}
_SHARES |= {'Spine': 1.0, 'Thorax': 1.0, 'Head': 1.0}
# The weights of the bones of `H36M` in the height of a standing person, which
# is that of the ankles more: the mean of both legs, and the trunk.
UPRIGHT = np.array([_SHARES.get(H36M.joints[c], 0.0) for _, c in H36M.bones])


def require_h36m(skeleton: Skeleton, setting: str) -> None:
  """Raises a SettingError if a setting is given that only people have."""
  if skeleton != H36M:
    raise SettingError(
      f'`{setting}`: is for the skeleton h36m; leave it out with another'
    )


def to_height(
  poses: np.ndarray, errors: np.ndarray, height: float
) -> tuple[np.ndarray, np.ndarray]:
  """Scales the poses of a person to the person's height.

  A person does not grow from frame to frame, so all T poses are scaled by the
  median of their factors.

  Args:
    poses: The poses of people, `[..., T, 16, 3]`, or one pose, `[16, 3]`,
      metres; NaN where unknown.
    errors: The expected error of each joint, `[..., T, 16]` or `[16]`, metres.
    height: The height of each person in metres, from 0.3 to 3.

  Returns:
    The scaled poses and errors.

  Raises:
    SettingError: The height is out of range.
  """
  if not HEIGHT.contains(height):
    raise SettingError(
      f'`height={shortened(height)}`: must be {HEIGHT.text}, one number'
    )
  lengths = np.linalg.norm(bone_vectors(poses, H36M), axis=-1)
  factors = (height - SOLE) / (lengths * UPRIGHT).sum(axis=-1)
  if factors.ndim:
    with warnings.catch_warnings():
      # A person who is never found has no median, and no pose to scale.
      warnings.filterwarnings('ignore', 'All-NaN|Mean of empty')
      factors = np.nanmedian(factors, axis=-1, keepdims=True)
  return poses * factors[..., None, None], errors * factors[..., None]


def place_poses(
  poses: np.ndarray,
  keypoints: np.ndarray,
  focal: np.ndarray,
  center: np.ndarray,
) -> np.ndarray:
  """Finds the root of poses by least squares on their reprojection.

  A joint (x, y, z) of a pose whose root is at (X, Y, Z) is seen at u = (x +
  X) / (z + Z), and likewise in y. Multiplied by z + Z, that is linear in X, Y
  and Z. Joints are weighted by their confidence.

  Args:
    poses: The poses, `[N, J, 3]`, metres.
    keypoints: Their joints in the image, `[N, J, 3]`, pixels and confidence.
    focal: The focal lengths, `[N]`, pixels.
    center: The principal points, `[N, 2]`, pixels.

  Returns:
    The positions, `[N, 3]`, metres, camera frame; NaN if the pose is NaN, fewer
    than two joints are seen, or the root would be behind the camera.
  """
  seen = (keypoints[..., :2] - center[:, None]) / focal[:, None, None]
  weight = np.sqrt(keypoints[..., 2])
  rows, values = [], []
  for axis in (0, 1):
    row = np.zeros(poses.shape)
    row[..., axis], row[..., 2] = 1, -seen[..., axis]
    rows.append(row * weight[..., None])
    value = seen[..., axis] * poses[..., 2] - poses[..., axis]
    values.append(value * weight)
  row, value = np.concatenate(rows, axis=1), np.concatenate(values, axis=1)
  known = np.isfinite(value).all(axis=1) & ((weight > 0).sum(axis=1) >= 2)
  places = np.full((len(poses), 3), np.nan)
  for index in np.flatnonzero(known):
    places[index] = np.linalg.lstsq(row[index], value[index], rcond=None)[0]
  places[~(places[:, 2] > 0)] = np.nan
  return places
