"""Turns positions of joints into the motion of a rig: rotations of its bones.

A rig is what animation programs move: a tree of joints with constant offsets,
each of which turns against its parent. Positions say where a bone points, and
not how it is turned about itself. So the pelvis and the chest, which are wide,
get their whole orientation from the lines of the hips and of the shoulders; any
other joint turns by the smallest rotation that makes its bone point the right
way, which adds no twist that nobody has seen.

The world and the rig have y up, are right-handed, and measure in metres. In the
rest pose, a T pose, the person faces +z, and +x is the person's left.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation, Slerp

from semgcn_jax.errors import UserError
from semgcn_jax.geometry.rates import check_fps
from semgcn_jax.geometry.skeletons import H36M

# A row for each joint, parents first: the joint of Human3.6M that it stands at,
# its parent, and its names. A joint that stands where its parent does lets
# bones that begin at one place turn each by itself.
_TABLE = (
  ('Pelvis', 'Pelvis', None, 'Hips', 'spine'),
  ('LowerSpine', 'Pelvis', 'Pelvis', 'Spine', 'spine.001'),
  ('Spine', 'Spine', 'LowerSpine', 'Spine1', 'spine.002'),
  ('Thorax', 'Thorax', 'Spine', 'Spine2', 'spine.003'),
  ('Neck', 'Thorax', 'Thorax', 'Neck', 'spine.004'),
  ('Head', 'Head', 'Neck', 'Head', 'spine.006'),
  ('LClavicle', 'Thorax', 'Thorax', 'LeftShoulder', 'shoulder.L'),
  ('LShoulder', 'LShoulder', 'LClavicle', 'LeftArm', 'upper_arm.L'),
  ('LElbow', 'LElbow', 'LShoulder', 'LeftForeArm', 'forearm.L'),
  ('LWrist', 'LWrist', 'LElbow', 'LeftHand', 'hand.L'),
  ('RClavicle', 'Thorax', 'Thorax', 'RightShoulder', 'shoulder.R'),
  ('RShoulder', 'RShoulder', 'RClavicle', 'RightArm', 'upper_arm.R'),
  ('RElbow', 'RElbow', 'RShoulder', 'RightForeArm', 'forearm.R'),
  ('RWrist', 'RWrist', 'RElbow', 'RightHand', 'hand.R'),
  ('LHip', 'LHip', 'Pelvis', 'LeftUpLeg', 'thigh.L'),
  ('LKnee', 'LKnee', 'LHip', 'LeftLeg', 'shin.L'),
  ('LAnkle', 'LAnkle', 'LKnee', 'LeftFoot', 'foot.L'),
  ('RHip', 'RHip', 'Pelvis', 'RightUpLeg', 'thigh.R'),
  ('RKnee', 'RKnee', 'RHip', 'RightLeg', 'shin.R'),
  ('RAnkle', 'RAnkle', 'RKnee', 'RightFoot', 'foot.R'),
)
JOINTS = tuple(row[0] for row in _TABLE)
PARENTS = tuple(
  -1 if row[2] is None else JOINTS.index(row[2]) for row in _TABLE
)
# The index in `H36M` of the joint that each joint of the rig stands at, and the
# index in the rig of each joint of `H36M`.
SOURCES = tuple(H36M.joints.index(row[1]) for row in _TABLE)
_OF_H36M = tuple(JOINTS.index(joint) for joint in H36M.joints)

NAMES: dict[str, tuple[str, ...]] = {
  'h36m': JOINTS,
  'mixamo': tuple(f'mixamorig:{row[3]}' for row in _TABLE),
  'blender': tuple(row[4] for row in _TABLE),
}

_UP, _DOWN, _LEFT = np.array([(0, 1, 0), (0, -1, 0), (1, 0, 0)], float)
# The direction in the rest pose from its parent to each joint of the trunk and
# of the left side. Those of `_MEASURED` are what they are in the motion.
_DIRECTIONS = {
  'Spine': _UP,
  'Thorax': _UP,
  'Head': _UP,
  'LShoulder': _LEFT,
  'LElbow': _LEFT,
  'LWrist': _LEFT,
  'LHip': _LEFT,
  'LKnee': _DOWN,
  'LAnkle': _DOWN,
}
_MEASURED = ('LHip', 'LShoulder')
# The joint that each joint points at when it turns.
_TARGETS = {
  'LowerSpine': 'Spine',
  'Spine': 'Thorax',
  'Neck': 'Head',
  'LClavicle': 'LShoulder',
  'LShoulder': 'LElbow',
  'LElbow': 'LWrist',
  'RClavicle': 'RShoulder',
  'RShoulder': 'RElbow',
  'RElbow': 'RWrist',
  'LHip': 'LKnee',
  'LKnee': 'LAnkle',
  'RHip': 'RKnee',
  'RKnee': 'RAnkle',
}
_MIRROR = np.array([-1, 1, 1])
# So often the root moves to where the whole body deviates least; a third time
# no longer makes a difference.
_PASSES = 2


@dataclasses.dataclass(frozen=True)
class Motion:
  """The motion of a rig, of R joints in the order of `JOINTS`.

  Attributes:
    offsets: The place of each joint in its parent's frame, `[R, 3]`, metres.
    rotations: The rotation of each joint against its parent, `[T, R, 4]`: unit
      quaternions x, y, z, w, whose signs do not jump from frame to frame.
    root: The place of the pelvis, `[T, 3]`, metres.
    fps: The frames per second.
    first: The number of the first frame in the clip.
  """

  offsets: np.ndarray
  rotations: np.ndarray
  root: np.ndarray
  fps: float
  first: int = 0


def fit(positions: ArrayLike, fps: float, first: int = 0) -> Motion:
  """Fits the rig to the positions of a person's joints.

  Bones have the median of their lengths over the frames, and the mean of left
  and right. A frame that lacks a number is filled: rotations and the place of
  the root are interpolated between the frames around it, and repeated at the
  ends.

  Args:
    positions: The joints of `H36M`, `[T, 16, 3]`, metres, y up.
    fps: The frames per second.
    first: The number of the first frame in the clip.

  Raises:
    UserError: The positions have another shape, or no frame is complete.
    SettingError: `fps` is not a rate.
  """
  positions = _checked(positions)
  check_fps(fps)
  found = np.flatnonzero(_complete(positions))
  if not len(found):
    raise UserError(
      f'none of the {len(positions)} frames of the person has all joints;'
      ' leave out people who were never found'
    )
  seen = positions[found]
  offsets = _offsets(seen)
  root = seen[:, H36M.root].copy()
  for _ in range(_PASSES):
    placed = _place(offsets, _rotations(seen, offsets, root), root)
    root += (seen - placed).mean(axis=1)
  rotations = _rotations(seen, offsets, root)
  quaternions = np.stack([turn.as_quat() for turn in rotations], axis=1)
  quaternions, root = _filled(found, len(positions), quaternions, root)
  return Motion(offsets, _continuous(quaternions), root, float(fps), first)


def joint_positions(motion: Motion) -> np.ndarray:
  """Computes where the joints of `H36M` are, by forward kinematics.

  Returns:
    The positions, `[T, 16, 3]`, metres, y up.
  """
  if not len(motion.root):
    return np.zeros((0, H36M.num_joints, 3))
  rotations = [Rotation.from_quat(q) for q in motion.rotations.swapaxes(0, 1)]
  return _place(motion.offsets, rotations, motion.root)


def deviation(motion: Motion, positions: ArrayLike) -> float:
  """Measures how far the joints of a rig are from given positions.

  Args:
    motion: The motion of T frames.
    positions: The joints of `H36M`, `[T, 16, 3]`, metres, y up.

  Returns:
    The mean distance in metres, over the frames that lack no number; NaN if
    there are none.

  Raises:
    UserError: The positions have another shape.
  """
  positions = _checked(positions)
  if len(positions) != len(motion.root):
    raise UserError(
      f'{len(positions)} frames of positions for a motion of'
      f' {len(motion.root)} frames; give those that it was fitted to'
    )
  complete = _complete(positions)
  if not complete.any():
    return np.nan
  error = joint_positions(motion)[complete] - positions[complete]
  return float(np.linalg.norm(error, axis=-1).mean())


def _checked(positions: ArrayLike) -> np.ndarray:
  """Makes positions `[T, 16, 3]` float64, or raises a UserError."""
  try:
    array = np.asarray(positions, np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(f'the positions are not an array ({error})') from error
  if array.ndim != 3 or array.shape[1:] != (H36M.num_joints, 3):
    raise UserError(
      f'the positions have the shape {array.shape}, not [T, 16, 3];'
      " give Human3.6M's 16 joints"
    )
  return array


def _complete(positions: np.ndarray) -> np.ndarray:
  """Tells which of the frames `[T, 16, 3]` have all numbers, `[T]`."""
  return np.asarray(np.isfinite(positions).all(axis=(1, 2)))


def _joint(positions: np.ndarray, name: str) -> np.ndarray:
  """Takes the positions `[T, 3]` of a joint of the rig, by its name."""
  return positions[:, SOURCES[JOINTS.index(name)]]


def _frames(x: np.ndarray, y: np.ndarray, keep: str) -> Rotation:
  """Makes the T rotations whose axes x and y point along given vectors.

  Args:
    x: Vectors `[T, 3]` along the axis x.
    y: Vectors `[T, 3]` about along the axis y.
    keep: The axis, 'x' or 'y', that points exactly along its vectors.
  """
  z = np.cross(x, y)
  # A body without width, or whose width lies along its height, faces +z.
  z[np.linalg.norm(z, axis=-1) < 1e-9] = (0, 0, 1)
  x, y = (x, np.cross(z, x)) if keep == 'x' else (np.cross(y, z), y)
  axes = np.stack([x, y, z], axis=-1)
  axes = axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
  broken = ~(np.linalg.det(axes) > 0.5)
  axes[broken] = np.eye(3)
  return Rotation.from_matrix(axes)


def _pelvis(positions: np.ndarray) -> Rotation:
  """Orients the pelvis by the line of the hips, and upwards by the spine."""
  across = _joint(positions, 'LHip') - _joint(positions, 'RHip')
  up = _joint(positions, 'Spine') - _joint(positions, 'Pelvis')
  return _frames(across, up, 'x')


def _chest(positions: np.ndarray) -> Rotation:
  """Orients the chest by the spine, and about it by the line of shoulders."""
  across = _joint(positions, 'LShoulder') - _joint(positions, 'RShoulder')
  up = _joint(positions, 'Thorax') - _joint(positions, 'Spine')
  return _frames(across, up, 'y')


def _offsets(positions: np.ndarray) -> np.ndarray:
  """Measures the offsets `[R, 3]` of the rest pose in frames `[T, 16, 3]`."""
  offsets = np.zeros((len(JOINTS), 3))
  for name, direction in _DIRECTIONS.items():
    left = JOINTS.index(name)
    sides = [left]
    if name[0] == 'L':
      sides.append(JOINTS.index(f'R{name[1:]}'))
    bones = [
      positions[:, SOURCES[i]] - positions[:, SOURCES[PARENTS[i]]]
      for i in sides
    ]
    if name in _MEASURED:
      # Data differ in how high the shoulders are beside the thorax, and the
      # hips beside the pelvis. The rest pose is like the data, or all frames
      # would turn the collars, and lose where the hips are.
      turn = _pelvis(positions) if name == 'LHip' else _chest(positions)
      local = [turn.inv().apply(bone) for bone in bones]
      middle = np.median(local[0], axis=0)
      middle = middle + np.median(local[1], axis=0) * _MIRROR
      if np.linalg.norm(middle) > 1e-6:
        direction = middle / np.linalg.norm(middle)
    lengths = [np.median(np.linalg.norm(bone, axis=-1)) for bone in bones]
    offsets[left] = np.mean(lengths) * direction
    offsets[sides[-1]] = offsets[left] * (_MIRROR if len(sides) > 1 else 1)
  return offsets


def _rotations(
  positions: np.ndarray, offsets: np.ndarray, root: np.ndarray
) -> list[Rotation]:
  """Turns each joint against its parent so that bones point at positions.

  A bone points from where the rig has its joint, not from where the positions
  have it, so that differences of length do not add up along a limb.

  Args:
    positions: The joints of `H36M`, `[T, 16, 3]`, metres.
    offsets: The rest pose, `[R, 3]`, metres.
    root: The place of the pelvis, `[T, 3]`, metres.

  Returns:
    T rotations for each of the R joints.
  """
  across = _joint(positions, 'LShoulder') - _joint(positions, 'RShoulder')
  turns = [_pelvis(positions)]
  worlds, places = list(turns), [root]
  for index, name in enumerate(JOINTS[1:], start=1):
    world = worlds[PARENTS[index]]
    place = places[PARENTS[index]] + world.apply(offsets[index])
    if name in _TARGETS:
      target = _TARGETS[name]
      wanted = world.inv().apply(_joint(positions, target) - place)
      turn = _smallest(offsets[JOINTS.index(target)], wanted)
      if name == 'Spine':
        line = (world * turn).inv().apply(across)
        flat = np.linalg.norm(line[:, [0, 2]], axis=-1) > 1e-6
        angle = np.where(flat, np.arctan2(-line[:, 2], line[:, 0]), 0)
        turn = turn * Rotation.from_rotvec(angle[:, None] * _UP)
    else:
      turn = Rotation.identity(len(root))
    turns.append(turn)
    worlds.append(world * turn)
    places.append(place)
  return turns


def _smallest(rest: np.ndarray, wanted: np.ndarray) -> Rotation:
  """Makes the smallest rotations that turn a vector into given directions.

  Args:
    rest: The vector, `[3]`.
    wanted: Vectors along the directions, `[T, 3]`.

  Returns:
    T rotations; no turn where a vector has no direction.
  """
  length = np.linalg.norm(wanted, axis=-1, keepdims=True)
  start = rest / max(float(np.linalg.norm(rest)), 1e-12)
  end = np.where(length > 1e-9, wanted / np.maximum(length, 1e-12), start)
  cosine = end @ start
  quaternions = np.concatenate(
    [np.cross(start, end), 1 + cosine[:, None]], axis=-1
  )
  # Backwards, every axis across will do.
  quaternions[1 + cosine < 1e-9] = (-start[1], start[0], 0, 0)
  if not start.any():
    quaternions[:] = (0, 0, 0, 1)
  return Rotation.from_quat(quaternions)


def _place(
  offsets: np.ndarray, rotations: list[Rotation], root: np.ndarray
) -> np.ndarray:
  """Computes the positions `[T, 16, 3]` of the joints of `H36M`, metres."""
  worlds, places = [rotations[0]], [root]
  for offset, parent, turn in zip(
    offsets[1:], PARENTS[1:], rotations[1:], strict=True
  ):
    places.append(places[parent] + worlds[parent].apply(offset))
    worlds.append(worlds[parent] * turn)
  return np.stack([places[index] for index in _OF_H36M], axis=1)


def _filled(
  found: np.ndarray, count: int, quaternions: np.ndarray, root: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Fills the frames that are missing; see `fit`.

  Args:
    found: The numbers of the frames that are there, `[N]`.
    count: The number T of all frames.
    quaternions: The rotations of those that are there, `[N, R, 4]`.
    root: The place of the pelvis in them, `[N, 3]`.

  Returns:
    The rotations `[T, R, 4]` and the places `[T, 3]` of all frames.
  """
  if len(found) == count:
    return quaternions, root
  times = np.arange(count)
  places = np.stack([np.interp(times, found, axis) for axis in root.T], axis=-1)
  if len(found) == 1:
    return np.repeat(quaternions, count, axis=0), places
  times = np.clip(times, found[0], found[-1])
  turns = [
    Slerp(found, Rotation.from_quat(turn))(times).as_quat()
    for turn in quaternions.swapaxes(0, 1)
  ]
  return np.stack(turns, axis=1), places


def _continuous(quaternions: np.ndarray) -> np.ndarray:
  """Chooses the signs of quaternions `[T, R, 4]` so that they do not jump."""
  same = (quaternions[1:] * quaternions[:-1]).sum(axis=-1) >= 0
  signs = np.cumprod(np.where(same, 1, -1), axis=0)
  first = np.where(quaternions[:1, :, 3] < 0, -1, 1)
  return quaternions * np.concatenate([first, first * signs])[..., None]
