"""Joint sets: where Human3.6M's 16 joints are among those of other files."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import H36M


@dataclasses.dataclass(frozen=True)
class JointSet:
  """The places of Human3.6M's 16 joints among the joints of another set.

  Attributes:
    names: The names of the joints of the set.
    sources: For each joint of `H36M`, the indices of the joints whose mean
      stands for it.
  """

  names: tuple[str, ...]
  sources: tuple[tuple[int, ...], ...]

  @property
  def num_joints(self) -> int:
    """The number of joints of the set."""
    return len(self.names)


def _named(joints: str, sources: dict[str, str]) -> JointSet:
  """Makes a set from its joints' names, and those for each joint of `H36M`."""
  names = joints.split()
  return JointSet(
    names=tuple(names),
    sources=tuple(
      tuple(names.index(name) for name in sources[joint].split())
      for joint in H36M.joints
    ),
  )


def _indexed(num_joints: int, indices: Sequence[int]) -> JointSet:
  """Makes a set that has each joint of `H36M` itself, at these indices."""
  names = [f'joint {index}' for index in range(num_joints)]
  for index, joint in zip(indices, H36M.joints, strict=True):
    names[index] = joint
  return JointSet(tuple(names), tuple((index,) for index in indices))


# The joints of the limbs have the same names in every set; the trunk's do not.
_LIMBS = {
  f'{side[0].upper()}{joint.capitalize()}': f'{side}_{joint}'
  for side in ('left', 'right')
  for joint in ('hip', 'knee', 'ankle', 'shoulder', 'elbow', 'wrist')
}
_COCO = """nose left_eye right_eye left_ear right_ear left_shoulder
  right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip
  right_hip left_knee right_knee left_ankle right_ankle"""
# COCO has neither the trunk nor the top of the head: the mean of hips and
# shoulders stands for the spine, that of eyes and ears for the head.
_COCO_TRUNK = {
  'Pelvis': 'left_hip right_hip',
  'Spine': 'left_hip right_hip left_shoulder right_shoulder',
  'Thorax': 'left_shoulder right_shoulder',
  'Head': 'left_eye right_eye left_ear right_ear',
}

JOINT_SETS = {
  # The original recordings. Joint 14, Neck/Nose, is among those left out.
  'h36m_32': _indexed(
    32, (0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27)
  ),
  # VideoPose3D's joints, of which joint 9, Neck/Nose, is left out.
  'h36m_17': _indexed(
    17, (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16)
  ),
  'h36m': _indexed(16, range(16)),
  'coco': _named(_COCO, _LIMBS | _COCO_TRUNK),
  # MPII has its thorax where Human3.6M has the spine, and its upper neck where
  # Human3.6M has the thorax.
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
  # OpenPose's newer model.
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
  # OpenPose's older model, which lacks the middle of the hips.
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
  # AlphaPose's joints of the body: COCO's, the trunk and the feet.
  'halpe_26': _named(
    f"""{_COCO} head neck hip left_big_toe right_big_toe left_small_toe
    right_small_toe left_heel right_heel""",
    _LIMBS
    | {'Pelvis': 'hip', 'Spine': 'hip neck', 'Thorax': 'neck', 'Head': 'head'},
  ),
  # The landmarks of MediaPipe's pose detector.
  'mediapipe': _named(
    """nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye
    right_eye_outer left_ear right_ear mouth_left mouth_right left_shoulder
    right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky
    right_pinky left_index right_index left_thumb right_thumb left_hip
    right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel
    left_foot_index right_foot_index""",
    _LIMBS | _COCO_TRUNK,
  ),
}


# Human3.6M's own joint sets, by their number of joints.
H36M_SETS = {32: 'h36m_32', 17: 'h36m_17', 16: 'h36m'}


def to_h36m(positions: np.ndarray, source: str) -> np.ndarray:
  """Picks Human3.6M's 16 joints; the number of joints tells which set it is.

  Args:
    positions: Positions `[..., J, D]` of J = 32, 17 or 16 joints.
    source: The file that they are from, for the message.

  Returns:
    The positions of the 16 joints, `[..., 16, D]`.

  Raises:
    UserError: The positions are of another number of joints.
  """
  joints = positions.shape[-2]
  if joints not in H36M_SETS:
    raise UserError(
      f'{source}: {joints} joints; Human3.6M files hold 32, 17 or 16'
    )
  return convert_joints(positions, H36M_SETS[joints])


def h36m_sides(joints: int) -> tuple[list[int], list[int]]:
  """Lists the left and right joints of a set of 32, 17 or 16 joints."""
  sources = JOINT_SETS[H36M_SETS[joints]].sources
  left, right = (
    [sources[joint][0] for joint in side] for side in (H36M.left, H36M.right)
  )
  return left, right


def convert_joints(positions: np.ndarray, joint_set: str) -> np.ndarray:
  """Converts the joints of another set to Human3.6M's 16.

  Args:
    positions: Positions `[..., J, D]` of the joints of the set.
    joint_set: The key of the set in `JOINT_SETS`.

  Returns:
    Positions `[..., 16, D]`, each of one joint of the set, or the mean of
    several.
  """
  sources = JOINT_SETS[joint_set].sources
  if all(len(source) == 1 for source in sources):
    return positions[..., [source[0] for source in sources], :]
  return np.stack(
    [positions[..., source, :].mean(axis=-2) for source in sources], axis=-2
  )
