"""Skeletons: joints, parents, left/right pairs, groups; and joint sets."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np

from semgcn_jax.errors import FlagError, UserError, listed
from semgcn_jax.files import write_text


@dataclasses.dataclass(frozen=True)
class Skeleton:
  """A tree of joints; immutable and hashable, so modules can hold it.

  Attributes:
    joints: name of each joint.
    parents: index of each joint's parent; -1 for the one root.
    left: joints of the left side, paired in order with `right`.
    right: joints of the right side.
    groups: joints pooled together by the non-local layers (paper Fig. 6,
      right); every joint is in exactly one group. Empty: no pooling.

  Raises:
    UserError: the fields contradict each other, or `parents` has a cycle.
  """

  joints: tuple[str, ...]
  parents: tuple[int, ...]
  left: tuple[int, ...] = ()
  right: tuple[int, ...] = ()
  groups: tuple[tuple[int, ...], ...] = ()

  def __post_init__(self):
    numbers = (self.parents, self.left, self.right, *self.groups)
    if not all(
      isinstance(field, tuple) for field in (self.joints, self.groups, *numbers)
    ) or not all(type(n) is int for field in numbers for n in field):
      raise UserError(
        'skeleton: parents, left and right must be lists of whole numbers, and'
        ' groups a list of such lists'
      )
    count = len(self.joints)
    if not all(isinstance(joint, str) for joint in self.joints) or (
      len(set(self.joints)) != count
    ):
      raise UserError('skeleton: joints must be a list of different names')
    if len(self.parents) != count:
      raise UserError(
        f'skeleton: {count} joints but {len(self.parents)} parents;'
        ' give one parent per joint, -1 for the root'
      )
    for joint, parent in zip(self.joints, self.parents, strict=True):
      if not -1 <= parent < count:
        raise UserError(
          f'skeleton: the parent of {joint} is {parent};'
          f' give an index from 0 to {count - 1}, or -1 for the root'
        )
    for start in range(count):
      path = [start]
      while self.parents[path[-1]] != -1:
        path.append(self.parents[path[-1]])
        if path[-1] in path[:-1]:
          cycle = ' -> '.join(self.joints[i] for i in path)
          raise UserError(
            f'skeleton: the parents form a cycle, {cycle};'
            ' correct the parents so that every joint leads to the root'
          )
    if self.parents.count(-1) != 1:
      raise UserError(
        f'skeleton: {self.parents.count(-1)} joints have parent -1;'
        ' exactly one joint is the root'
      )
    sides = self.left + self.right
    if len(self.left) != len(self.right) or len(set(sides)) != len(sides):
      raise UserError(
        'skeleton: left and right must pair distinct joints, one to one'
      )
    if any(not 0 <= joint < count for joint in sides):
      raise UserError(
        f'skeleton: left and right must be joint indices, 0 to {count - 1}'
      )
    grouped = [joint for group in self.groups for joint in group]
    if self.groups and (
      sorted(grouped) != list(range(count)) or () in self.groups
    ):
      raise UserError(
        'skeleton: the groups must hold every joint exactly once;'
        ' give none to switch pooling off'
      )

  @property
  def num_joints(self) -> int:
    return len(self.joints)

  @property
  def root(self) -> int:
    return self.parents.index(-1)

  @property
  def bones(self) -> tuple[tuple[int, int], ...]:
    """(parent, child) of every bone, ordered by child."""
    return tuple(
      (parent, child)
      for child, parent in enumerate(self.parents)
      if parent != -1
    )


H36M = Skeleton(
  joints=(
    'Pelvis',
    'RHip',
    'RKnee',
    'RAnkle',
    'LHip',
    'LKnee',
    'LAnkle',
    'Spine',
    'Thorax',
    'Head',
    'LShoulder',
    'LElbow',
    'LWrist',
    'RShoulder',
    'RElbow',
    'RWrist',
  ),
  parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14),
  left=(4, 5, 6, 10, 11, 12),
  right=(1, 2, 3, 13, 14, 15),
  groups=(
    (2, 3),
    (5, 6),
    (1, 4),
    (0, 7),
    (8, 9),
    (14, 15),
    (11, 12),
    (10, 13),
  ),
)

SKELETONS = {'h36m': H36M}


@dataclasses.dataclass(frozen=True)
class JointSet:
  """The joints of other files, and where Human3.6M's 16 are among them.

  Attributes:
    num_joints: of the set.
    sources: for each joint of `H36M` the indices whose mean stands for it.
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


def bone_vectors(positions, skeleton: Skeleton):
  """Parent minus child of every bone (paper eq. 8), in NumPy or JAX.

  Args:
    positions: `[..., J, D]`.
    skeleton: of J joints.

  Returns:
    `[..., J - 1, D]`.
  """
  parents, children = zip(*skeleton.bones, strict=True)
  return positions[..., parents, :] - positions[..., children, :]


def to_h36m(positions, source: str):
  """Picks Human3.6M's 16 joints.

  Args:
    positions: `[..., J, D]` with 32, 17 or 16 joints.
    source: the file, for the message.

  Returns:
    `[..., 16, D]`.

  Raises:
    UserError: another number of joints.
  """
  joints = positions.shape[-2]
  for name in ('h36m_32', 'h36m_17', 'h36m'):
    if JOINT_SETS[name].num_joints == joints:
      return convert_joints(positions, name)
  raise UserError(
    f'{source}: {joints} joints; Human3.6M files hold 32, 17 or 16'
  )


def convert_joints(positions, joint_set: str):
  """Human3.6M's 16 joints from those of another set.

  Args:
    positions: `[..., J, D]`.
    joint_set: a key of `JOINT_SETS`, with J joints.

  Returns:
    `[..., 16, D]`: a joint of the set each, or the mean of several.
  """
  sources = JOINT_SETS[joint_set].sources
  if all(len(source) == 1 for source in sources):
    return positions[..., [source[0] for source in sources], :]
  return np.stack(
    [positions[..., source, :].mean(axis=-2) for source in sources], axis=-2
  )


def load_skeleton(name: str) -> Skeleton:
  """A skeleton by its name or from a JSON file.

  Args:
    name: a key of `SKELETONS`, or the path of a JSON object with `joints`,
      `parents` and, if wanted, `left`, `right` and `groups`.

  Raises:
    UserError: no such name or file, or not a skeleton.
  """
  if name in SKELETONS:
    return SKELETONS[name]
  try:
    with open(name, encoding='utf-8') as file:
      fields = json.load(file)
    return Skeleton(**{key: _to_tuple(value) for key, value in fields.items()})
  except UserError as error:
    raise UserError(f'{name}: {error}') from error
  except FileNotFoundError as error:
    raise FlagError(
      f'--skeleton={name}: neither a file nor one of {listed(SKELETONS)}'
    ) from error
  except (
    *(OSError, ValueError, TypeError, AttributeError, RecursionError),
  ) as error:
    raise UserError(
      f'--skeleton={name}: not a skeleton ({error}); give a JSON object with'
      ' joints, parents and, if wanted, left, right, groups'
    ) from error


def save_skeleton(skeleton: Skeleton, path: pathlib.Path) -> None:
  """Writes what `load_skeleton` reads."""
  write_text(path, json.dumps(dataclasses.asdict(skeleton)) + '\n')


def _to_tuple(value):
  if isinstance(value, list):
    return tuple(_to_tuple(item) for item in value)
  return value
