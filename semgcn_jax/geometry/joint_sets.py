"""Joint sets: where Human3.6M's 16 joints are among those of other files.

All that is known of a set is its entry in `JOINT_SETS`. Functions of arrays
serve NumPy and JAX alike.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from semgcn_jax.errors import UserError, choose, listed
from semgcn_jax.geometry.skeletons import H36M

MIN_KEYPOINTS = 4  # A pose cannot be told from fewer that were found.


@dataclasses.dataclass(frozen=True)
class JointSet:
  """The places of Human3.6M's 16 joints among the joints of another set.

  Attributes:
    names: The names of the joints of the set.
    sources: For each joint of `H36M`, the indices of the joints whose mean
      stands for it.
    points: The points of the body that the joints are; a point has the same
      name in every set.
    counts: The numbers of keypoints that tell the set where the user names
      none. Those of a whole body are above `num_joints`, and begin with the
      joints of the set.
    same_as: The set that stands for this one in networks; '' if they know it
      itself.
  """

  names: tuple[str, ...]
  sources: tuple[tuple[int, ...], ...]
  points: tuple[str, ...]
  counts: tuple[int, ...] = ()
  same_as: str = ''

  @property
  def num_joints(self) -> int:
    """The number of joints of the set."""
    return len(self.names)

  @property
  def used(self) -> list[int]:
    """The indices of the joints that any of Human3.6M's is made of."""
    return sorted({index for source in self.sources for index in source})

  def fits(self, count: int) -> bool:
    """Tells whether people of so many keypoints can be of this set."""
    return count == self.num_joints or count in self.counts


def _named(
  joints: str,
  sources: Mapping[str, str],
  counts: Sequence[int],
  **points: str,
) -> JointSet:
  """Makes a set from the names of its joints.

  Args:
    joints: The names, separated by spaces.
    sources: For each joint of `H36M` the names of those that stand for it.
    counts: See `JointSet`.
    **points: The points that have another name than their joint.
  """
  names = joints.split()
  return JointSet(
    names=tuple(names),
    sources=tuple(
      tuple(names.index(name) for name in sources[joint].split())
      for joint in H36M.joints
    ),
    points=tuple(points.get(name, name) for name in names),
    counts=tuple(counts),
  )


def _indexed(
  num_joints: int, indices: Sequence[int], **fields: Any
) -> JointSet:
  """Makes a set that has each joint of `H36M` itself, at these indices."""
  names = [f'joint {index}' for index in range(num_joints)]
  for index, joint in zip(indices, H36M.joints, strict=True):
    names[index] = joint
  sources = tuple((index,) for index in indices)
  return JointSet(tuple(names), sources, tuple(names), **fields)


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

# Networks know the sets without `same_as` by their order here; a new one goes
# to the end.
JOINT_SETS = {
  # The original recordings. Joint 14, Neck/Nose, is among those left out.
  'h36m_32': _indexed(
    32,
    (0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27),
    counts=(32,),
    same_as='h36m',
  ),
  # VideoPose3D's joints, of which joint 9, Neck/Nose, is left out.
  'h36m_17': _indexed(
    17,
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16),
    same_as='h36m',
  ),
  'h36m': _indexed(16, range(16)),
  'coco': _named(_COCO, _LIMBS | _COCO_TRUNK, counts=(17, 133)),
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
    counts=(16,),
    pelvis='mid_hip',
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
    counts=(25,),
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
    counts=(18,),
  ),
  # AlphaPose's joints of the body: COCO's, the trunk and the feet.
  'halpe_26': _named(
    f"""{_COCO} head neck hip left_big_toe right_big_toe left_small_toe
    right_small_toe left_heel right_heel""",
    _LIMBS
    | {'Pelvis': 'hip', 'Spine': 'hip neck', 'Thorax': 'neck', 'Head': 'head'},
    counts=(26, 136),
    hip='mid_hip',
    head='head_top',
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
    counts=(33,),
  ),
}
# The sets that networks are trained on, in the order that they know them in.
LIFTED = tuple(name for name, own in JOINT_SETS.items() if not own.same_as)
# {number of keypoints: joint set}, for where the user names none.
BY_COUNT = {
  count: name for name, own in JOINT_SETS.items() for count in own.counts
}
# Human3.6M's own joint sets, by their number of joints.
H36M_SETS = {
  own.num_joints: name
  for name, own in JOINT_SETS.items()
  if 'h36m' in (name, own.same_as)
}


def resolve(
  joint_set: str, counts: Iterable[int], source: str, setting='joint_set'
) -> str:
  """Finds the joint set of people: the named one, or that of their number.

  Args:
    joint_set: The key of the set in `JOINT_SETS`; '' lets the number tell.
    counts: The number of keypoints of each person.
    source: The file that they are from, for the messages.
    setting: The setting that names the set, for the messages.

  Returns:
    The key of the set; COCO's if there is nobody and none is named.

  Raises:
    SettingError: There is no set of this name.
    UserError: People differ in their number, or it does not fit the set.
  """
  known = sorted({*counts})
  if joint_set:
    choose(setting, joint_set, JOINT_SETS)
  if len(known) > 1:
    raise UserError(
      f'{source}: people of {listed(map(str, known))} joints; they must agree'
    )
  if not known:
    return joint_set or 'coco'
  (count,) = known
  name = joint_set or BY_COUNT.get(count, '')
  if not name:
    raise UserError(
      f'{source}: {count} joints a person; name their set by `{setting}`'
      f' ({listed(JOINT_SETS)})'
    )
  if not JOINT_SETS[name].fits(count):
    others = [other for other, own in JOINT_SETS.items() if own.fits(count)]
    advice = (
      f'{count} are those of {listed(others)}'
      if others
      else f'no joint set has {count}'
    )
    raise UserError(
      f'{source}: {count} joints a person, but `{setting}={name}` has'
      f' {JOINT_SETS[name].num_joints}; {advice}'
    )
  return name


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
  """Converts the joints of another set, all found, to Human3.6M's 16.

  Args:
    positions: Positions `[..., J, D]` of the joints of the set.
    joint_set: The key of the set in `JOINT_SETS`.

  Returns:
    Positions `[..., 16, D]`, each of one joint of the set, or the mean of
    several.
  """
  (sources,) = source_table([joint_set], JOINT_SETS[joint_set].points)
  return mean_of_found(positions[..., np.maximum(sources, 0), :], sources >= 0)


def joints_of(keypoints: np.ndarray, joint_set: str) -> np.ndarray:
  """Makes the 16 joints of the keypoints of a joint set; see `derive_joints`.

  Args:
    keypoints: Keypoints `[..., J, 3]`.
    joint_set: The key of their set in `JOINT_SETS`.

  Returns:
    Keypoints `[..., 16, 3]`.
  """
  (sources,) = source_table([joint_set], JOINT_SETS[joint_set].points)
  return derive_joints(keypoints, sources)


def source_table(
  joint_sets: Sequence[str], points: Sequence[str]
) -> np.ndarray:
  """Tabulates which points each of the 16 joints is the mean of.

  Args:
    joint_sets: Keys of `JOINT_SETS`.
    points: The names of all points.

  Returns:
    For each set and joint the indices of its points, `[S, 16, K]` int32; -1
    fills up.
  """
  sets = [JOINT_SETS[key] for key in joint_sets]
  most = max(len(joint) for own in sets for joint in own.sources)
  table = np.full((len(sets), 16, most), -1, np.int32)
  for row, own in zip(table, sets, strict=True):
    for cells, joint in zip(row, own.sources, strict=True):
      cells[: len(joint)] = [points.index(own.points[i]) for i in joint]
  return table


def derive_joints(points: Any, sources: Any) -> Any:
  """Makes the 16 joints of what a detector has marked.

  A joint that several points stand for is the mean of those that were found.
  Its confidence is the mean over all of them, so that it is lower where some
  are missing.

  Args:
    points: Keypoints `[..., P, 3]`, of NumPy or JAX.
    sources: Indices of points, `[..., 16, K]`, or those of all poses,
      `[16, K]`; -1 fills up.

  Returns:
    Keypoints `[..., 16, 3]`.
  """
  xp = points.__array_namespace__()
  indices = xp.maximum(sources, 0)
  if sources.ndim == 2:
    chosen = points[..., indices, :]
  else:
    chosen = xp.take_along_axis(
      points[..., None, :, :], indices[..., None], axis=-2
    )
  named = sources >= 0
  confidence = xp.where(named, chosen[..., 2], 0)
  xy = mean_of_found(chosen[..., :2], confidence > 0)
  confidence = confidence.sum(axis=-1) / named.sum(axis=-1, dtype=points.dtype)
  return xp.concatenate([xy, confidence[..., None]], axis=-1)


def mean_of_found(values: Any, found: Any) -> Any:
  """Averages those of K values that were found.

  Args:
    values: The values, `[..., K, D]`, of NumPy or JAX.
    found: Which of them were found, `[..., K]`.

  Returns:
    The means, `[..., D]`, zeros where nothing was found.
  """
  xp = values.__array_namespace__()
  count = xp.maximum(found.sum(axis=-1, dtype=values.dtype), 1)
  return xp.where(found[..., None], values, 0).sum(axis=-2) / count[..., None]
