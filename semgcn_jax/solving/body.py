"""The body of the solver: Human3.6M's 16 joints, heels and toes."""

import numpy as np

from semgcn_jax.geometry.skeletons import (
  H36M,
  Skeleton,
  bone_vectors,
  join_bones,
)
from semgcn_jax.inference.bounds import MEDIAN_LENGTHS
from semgcn_jax.motion.upright import unit

BODY = Skeleton(
  joints=(*H36M.joints, 'RHeel', 'RToe', 'LHeel', 'LToe'),
  parents=(*H36M.parents, 3, 3, 6, 6),
  left=(*H36M.left, 18, 19),
  right=(*H36M.right, 16, 17),
)
ANKLES = tuple(BODY.joints.index(name) for name in ('RAnkle', 'LAnkle'))
PARENTS, CHILDREN = (np.array(ends) for ends in zip(*BODY.bones, strict=True))
# Which bones, in turn, lead to each joint from the pelvis, `[20, 19]`.
PATHS = join_bones(-np.eye(len(CHILDREN)), BODY)
# From the ankle to the back of the heel and to the big toe, metres, in the
# frame of the shank: x to the left, y down along the bone, z backwards.
_FOOT = np.array([(0.0, 0.05, 0.05), (0.0, 0.055, -0.16)])
_FOOT_LENGTHS = np.linalg.norm(_FOOT, axis=-1)
FOOT_DIRECTIONS = _FOOT / _FOOT_LENGTHS[:, None]
# The median length of each bone, metres, ordered by child.
LENGTHS = np.concatenate([MEDIAN_LENGTHS, _FOOT_LENGTHS, _FOOT_LENGTHS])
# Bones of both sides have one length; the index of each bone's.
_ENDS = [BODY.joints[child] for child in CHILDREN]
NAMES = tuple(
  dict.fromkeys(name.removeprefix('R').removeprefix('L') for name in _ENDS)
)
OF_BONE = np.array(
  [NAMES.index(name.removeprefix('R').removeprefix('L')) for name in _ENDS]
)
MEDIANS = np.array([LENGTHS[OF_BONE == n].mean() for n in range(len(NAMES))])
LEGS = np.array([name.endswith(('Knee', 'Ankle')) for name in _ENDS], float)
_SIDES = ('R', 'L')


def body_frames(poses: np.ndarray) -> np.ndarray:
  """Computes the axes of the body part that each joint belongs to.

  Args:
    poses: Poses `[T, 16, 3]`.

  Returns:
    The axes of the 20 joints of `BODY` as columns, `[T, 20, 3, 3]`: x to the
    person's left; y up for pelvis and chest, and outwards along limbs.
  """
  joints = dict(zip(H36M.joints, poses.swapaxes(0, 1), strict=True))
  pelvis = _trunk_axes(
    joints['LHip'] - joints['RHip'], joints['Spine'] - joints['Pelvis']
  )
  chest = _trunk_axes(
    joints['LShoulder'] - joints['RShoulder'],
    joints['Thorax'] - joints['Spine'],
  )
  frames = dict.fromkeys(BODY.joints, pelvis)
  for name in ('Spine', 'Thorax', 'Head', 'LShoulder', 'RShoulder'):
    frames[name] = chest
  for side in _SIDES:
    for chain, trunk in (
      ('Hip Knee Ankle', pelvis),
      ('Shoulder Elbow Wrist', chest),
    ):
      start, middle, end = (side + name for name in chain.split())
      frames[middle] = _limb_axes(joints[middle] - joints[start], trunk)
      frames[end] = _limb_axes(joints[end] - joints[middle], trunk)
    for name in ('Heel', 'Toe'):
      frames[side + name] = frames[f'{side}Ankle']
  return np.stack([frames[name] for name in BODY.joints], axis=1)


def directions(poses: np.ndarray, frames: np.ndarray) -> np.ndarray:
  """Computes where bones point; feet stand at right angles to the shanks.

  Args:
    poses: Poses `[T, 16, 3]`.
    frames: Their `body_frames`.

  Returns:
    The directions from parents to children of `BODY`, `[T, 19, 3]`.
  """
  bones = unit(-bone_vectors(poses, H36M))
  feet = np.einsum('tkxy,fy->tkfx', frames[:, ANKLES], FOOT_DIRECTIONS)
  return np.concatenate([bones, feet.reshape(len(poses), -1, 3)], axis=1)


def _trunk_axes(left: np.ndarray, up: np.ndarray) -> np.ndarray:
  """Returns the axes `[T, 3, 3]` of a part that is as wide as `left`."""
  x = unit(left)
  z = unit(np.cross(x, up))
  return np.stack([x, np.cross(z, x), z], axis=-1)


def _limb_axes(along: np.ndarray, trunk: np.ndarray) -> np.ndarray:
  """Returns the axes `[T, 3, 3]` of a limb, x as near to the trunk's as can."""
  y = unit(along)
  left = trunk[..., 0]
  x = unit(left - (left * y).sum(axis=-1, keepdims=True) * y)
  return np.stack([x, y, np.cross(x, y)], axis=-1)
