"""Joint sets: the joints of other files, and Human3.6M's 16 among them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from semgcn_jax.errors import UserError
from semgcn_jax.skeleton import H36M


@dataclasses.dataclass(frozen=True)
class JointSet:
  """Tells where Human3.6M's 16 joints are among the joints of another set.

  Attributes:
    num_joints: The number of joints of the set.
    sources: For each joint of `H36M` the indices whose mean stands for it.
  """

  num_joints: int
  sources: tuple[tuple[int, ...], ...]


def _named(joints: str, sources: dict[str, str]) -> JointSet:
  names = joints.split()
  return JointSet(
    num_joints=len(names),
    sources=tuple(
      tuple(names.index(name) for name in sources[joint].split())
      for joint in H36M.joints
    ),
  )


def _indexed(num_joints: int, indices: Sequence[int]) -> JointSet:
  return JointSet(num_joints, tuple((index,) for index in indices))


# Limbs are named alike everywhere; the trunk is not.
_LIMBS = {
  f'{side[0].upper()}{joint.capitalize()}': f'{side}_{joint}'
  for side in ('left', 'right')
  for joint in ('hip', 'knee', 'ankle', 'shoulder', 'elbow', 'wrist')
}
_COCO = """nose left_eye right_eye left_ear right_ear left_shoulder
  right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip
  right_hip left_knee right_knee left_ankle right_ankle"""

JOINT_SETS = {
  # The original recordings; 14, Neck/Nose, is among those left out.
  'h36m_32': _indexed(
    32, (0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27)
  ),
  # VideoPose3D's, with Neck/Nose as joint 9.
  'h36m_17': _indexed(
    17, (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16)
  ),
  'h36m': _indexed(16, range(16)),
  # Neither trunk nor top of the head: the mean of hips and shoulders is the
  # spine, that of eyes and ears the head.
  'coco': _named(
    _COCO,
    _LIMBS
    | {
      'Pelvis': 'left_hip right_hip',
      'Spine': 'left_hip right_hip left_shoulder right_shoulder',
      'Thorax': 'left_shoulder right_shoulder',
      'Head': 'left_eye right_eye left_ear right_ear',
    },
  ),
  # Its thorax is where Human3.6M has the spine, its neck the thorax.
  'mpii': _named(
    """right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis
    thorax upper_neck head_top right_wrist right_elbow right_shoulder
    left_shoulder left_elbow left_wrist""",
    _LIMBS
    | {
      'Pelvis': 'pelvis',
      'Spine': 'thorax',
      'Thorax': 'upper_neck',
      'Head': 'head_top',
    },
  ),
  'body_25': _named(
    """nose neck right_shoulder right_elbow right_wrist left_shoulder
    left_elbow left_wrist mid_hip right_hip right_knee right_ankle left_hip
    left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe
    left_small_toe left_heel right_big_toe right_small_toe right_heel""",
    _LIMBS
    | {
      'Pelvis': 'mid_hip',
      'Spine': 'mid_hip neck',
      'Thorax': 'neck',
      'Head': 'left_eye right_eye left_ear right_ear',
    },
  ),
  # OpenPose's older model.
  'openpose_18': _named(
    """nose neck right_shoulder right_elbow right_wrist left_shoulder
    left_elbow left_wrist right_hip right_knee right_ankle left_hip left_knee
    left_ankle right_eye left_eye right_ear left_ear""",
    _LIMBS
    | {
      'Pelvis': 'left_hip right_hip',
      'Spine': 'left_hip right_hip neck neck',
      'Thorax': 'neck',
      'Head': 'left_eye right_eye left_ear right_ear',
    },
  ),
  'halpe_26': _named(
    f"""{_COCO} head neck hip left_big_toe right_big_toe left_small_toe
    right_small_toe left_heel right_heel""",
    _LIMBS
    | {'Pelvis': 'hip', 'Spine': 'hip neck', 'Thorax': 'neck', 'Head': 'head'},
  ),
}


def to_h36m(positions: np.ndarray, source: str) -> np.ndarray:
  """Picks Human3.6M's 16 joints, told by their number.

  Args:
    positions: `[..., J, D]` with 32, 17 or 16 joints.
    source: The file that they are from, for the message.

  Returns:
    `[..., 16, D]`.

  Raises:
    UserError: It is another number of joints.
  """
  joints = positions.shape[-2]
  for name in ('h36m_32', 'h36m_17', 'h36m'):
    if JOINT_SETS[name].num_joints == joints:
      return convert_joints(positions, name)
  raise UserError(
    f'{source}: {joints} joints; Human3.6M files hold 32, 17 or 16'
  )


def convert_joints(positions: np.ndarray, joint_set: str) -> np.ndarray:
  """Converts the joints of another set to Human3.6M's 16.

  Args:
    positions: `[..., J, D]`.
    joint_set: A key of `JOINT_SETS`, with J joints.

  Returns:
    `[..., 16, D]`; each joint is one of the set, or the mean of several.
  """
  sources = JOINT_SETS[joint_set].sources
  if all(len(source) == 1 for source in sources):
    return positions[..., [source[0] for source in sources], :]
  return np.stack(
    [positions[..., source, :].mean(axis=-2) for source in sources], axis=-2
  )
