"""Converts joint positions to the motion of a rig: rotations of its bones.

A rig is what animation programs use: a tree of joints with constant offsets,
each rotating relative to its parent. Positions determine where a bone points,
but not its twist. So the lines of hips and shoulders orient pelvis and chest,
and any other joint gets the smallest rotation that aims its bone, without any
twist.

World and rig are right-handed, y up, in metres. In the rest pose, a T pose, the
person faces +z, and +x is the person's left.
"""

import csv
import dataclasses
import importlib.resources
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation, Slerp

from semgcn_jax.errors import UserError
from semgcn_jax.geometry.rates import check_fps
from semgcn_jax.geometry.skeletons import H36M

# rig.csv has a row for each joint, parents first: the joint of Human3.6M at its
# position, its parent, its other names, and its typical offset from the parent,
# metres, the median over 24 people of the CMU database. Where a joint coincides
# with its parent, bones that begin at one point can rotate independently.
_TABLE = importlib.resources.files('semgcn_jax.motion') / 'rig.csv'
_ROWS = tuple(csv.DictReader(_TABLE.read_text().splitlines()))
JOINTS = tuple(row['joint'] for row in _ROWS)
PARENTS = tuple(
  JOINTS.index(row['parent']) if row['parent'] else -1 for row in _ROWS
)
# The index in `H36M` of each joint of the rig, and the reverse.
SOURCES = tuple(H36M.joints.index(row['h36m']) for row in _ROWS)
TYPICAL_OFFSETS = np.array([row['offset'].split() for row in _ROWS], float)
_OF_H36M = tuple(JOINTS.index(joint) for joint in H36M.joints)

NAMES: dict[str, tuple[str, ...]] = {
  'h36m': JOINTS,
  'mixamo': tuple(f'mixamorig:{row["mixamo"]}' for row in _ROWS),
  'blender': tuple(row['blender'] for row in _ROWS),
  'unity': tuple(row['unity'] for row in _ROWS),
  'lafan1': tuple(row['mixamo'] for row in _ROWS),
}
# Joints that stand apart from their parents in `fit(apart=True)`: how far along
# the bone that begins there, and to which joint it goes.
_APART = {
  'LowerSpine': (0.1, 'Spine'),
  'Neck': (0.25, 'Head'),
  'LClavicle': (0.2, 'LShoulder'),
  'RClavicle': (0.2, 'RShoulder'),
}
TOES = np.array((0.0, -0.06, 0.16))  # From the ankle, in the rest pose, metres.

_UP, _DOWN, _LEFT = np.array([(0, 1, 0), (0, -1, 0), (1, 0, 0)], float)
# The directions from parents to joints in the rest pose, for the trunk and the
# left side. Those of `_MEASURED` are taken from the motion instead.
_DIRECTIONS: dict[str, np.ndarray] = {
  **dict.fromkeys(('Spine', 'Thorax', 'Head'), _UP),
  **dict.fromkeys(('LShoulder', 'LElbow', 'LWrist', 'LHip'), _LEFT),
  **dict.fromkeys(('LKnee', 'LAnkle'), _DOWN),
}
_MEASURED = ('LHip', 'LShoulder')
# The joint that each joint aims at.
TARGETS = {'LowerSpine': 'Spine', 'Spine': 'Thorax', 'Neck': 'Head'} | {
  f'{side}{joint}': f'{side}{target}'
  for side in 'LR'
  for chain in (
    ('Clavicle', 'Shoulder', 'Elbow', 'Wrist'),
    ('Hip', 'Knee', 'Ankle'),
  )
  for joint, target in itertools.pairwise(chain)
}
_MIRROR = np.array([-1, 1, 1])
_PASSES = 2  # Of fitting the root; a third makes no difference.


@dataclasses.dataclass(frozen=True)
class Motion:
  """The motion of a rig with R joints in the order of `JOINTS`.

  Attributes:
    offsets: The position of each joint in its parent's frame, `[R, 3]`, metres.
    rotations: The rotation of each joint relative to its parent, `[T, R, 4]`:
      unit quaternions x, y, z, w, with signs that are continuous over time.
    root: The position of the pelvis, `[T, 3]`, metres.
    fps: The frames per second.
    first: The number of the first frame in the clip.
  """

  offsets: np.ndarray
  rotations: np.ndarray
  root: np.ndarray
  fps: float
  first: int = 0


def fit(
  positions: ArrayLike,
  fps: float,
  first: int = 0,
  *,
  feet: np.ndarray | None = None,
  apart: bool = False,
) -> Motion:
  """Fits the rig to the positions of a person's joints.

  The length of a bone is its median over the frames, averaged over both sides.
  Frames with missing values are interpolated from the frames around them, and
  repeat the nearest one at the ends.

  Args:
    positions: The joints of `H36M`, `[T, 16, 3]`, metres, y up.
    fps: The frames per second.
    first: The number of the first frame in the clip.
    feet: The points of `joint_sets.FEET`, `[T, 4, 3]`, metres, y up, at whose
      toes the ankles aim; by default, feet do not turn.
    apart: Whether no joint coincides with its parent, as some programs need.

  Raises:
    UserError: The positions have another shape, or no frame is complete.
    SettingError: `fps` is not a frame rate.
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
  for name, (share, end) in _APART.items() if apart else ():
    joint, end = JOINTS.index(name), JOINTS.index(end)
    offsets[joint] = share * offsets[end]
    offsets[end] -= offsets[joint]
  toes = (
    None
    if feet is None
    else dict(zip('RL', feet[found][:, 1::2].swapaxes(0, 1), strict=True))
  )
  root = seen[:, H36M.root].copy()
  for _ in range(_PASSES):
    placed = _place(offsets, _rotations(seen, offsets, root, toes), root)
    root += (seen - placed).mean(axis=1)
  rotations = _rotations(seen, offsets, root, toes)
  quaternions = np.stack([turn.as_quat() for turn in rotations], axis=1)
  quaternions, root = _filled(found, len(positions), quaternions, root)
  return Motion(offsets, _continuous(quaternions), root, float(fps), first)


def joint_positions(motion: Motion) -> np.ndarray:
  """Computes the positions of `H36M`'s joints, `[T, 16, 3]`, metres, y up."""
  if not len(motion.root):
    return np.zeros((0, H36M.num_joints, 3))
  rotations = [Rotation.from_quat(q) for q in motion.rotations.swapaxes(0, 1)]
  return _place(motion.offsets, rotations, motion.root)


def deviation(motion: Motion, positions: ArrayLike) -> float:
  """Measures the mean distance of a rig's joints from given positions.

  Args:
    motion: The motion of T frames.
    positions: The joints of `H36M`, `[T, 16, 3]`, metres, y up.

  Returns:
    The distance over all complete frames, metres; NaN if there are none.

  Raises:
    UserError: The positions have another shape.
  """
  positions = _checked(positions)
  if len(positions) != len(motion.root):
    raise UserError(
      f'{len(positions)} frames of positions for a motion of'
      f' {len(motion.root)} frames; give the positions that it was fitted to'
    )
  complete = _complete(positions)
  if not complete.any():
    return np.nan
  error = joint_positions(motion)[complete] - positions[complete]
  return float(np.linalg.norm(error, axis=-1).mean())


def _checked(positions: ArrayLike) -> np.ndarray:
  """Converts positions `[T, 16, 3]` to float64, or raises a UserError."""
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
  """Masks the frames of `[T, 16, 3]` without missing values, `[T]`."""
  return np.asarray(np.isfinite(positions).all(axis=(1, 2)))


def _joint(positions: np.ndarray, name: str) -> np.ndarray:
  """Selects the positions `[T, 3]` of a joint of the rig."""
  return positions[:, SOURCES[JOINTS.index(name)]]


def _frames(x: np.ndarray, y: np.ndarray, keep: str) -> Rotation:
  """Builds T rotations from the directions of their axes.

  Args:
    x: Vectors `[T, 3]` along x.
    y: Vectors `[T, 3]` along y.
    keep: The axis, 'x' or 'y', that is matched exactly.
  """
  z = np.cross(x, y)
  # Without a width, or with one along its height, a body faces +z.
  z[np.linalg.norm(z, axis=-1) < 1e-9] = (0, 0, 1)
  x, y = (x, np.cross(z, x)) if keep == 'x' else (np.cross(y, z), y)
  axes = np.stack([x, y, z], axis=-1)
  axes = axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
  broken = ~(np.linalg.det(axes) > 0.5)
  axes[broken] = np.eye(3)
  return Rotation.from_matrix(axes)


def _pelvis(positions: np.ndarray) -> Rotation:
  """Orients the pelvis along the hips, and then upwards along the spine."""
  across = _joint(positions, 'LHip') - _joint(positions, 'RHip')
  up = _joint(positions, 'Spine') - _joint(positions, 'Pelvis')
  return _frames(across, up, 'x')


def _chest(positions: np.ndarray) -> Rotation:
  """Orients the chest along the spine, and then along the shoulders."""
  across = _joint(positions, 'LShoulder') - _joint(positions, 'RShoulder')
  up = _joint(positions, 'Thorax') - _joint(positions, 'Spine')
  return _frames(across, up, 'y')


def _offsets(positions: np.ndarray) -> np.ndarray:
  """Measures the rest pose, offsets `[R, 3]`, in frames `[T, 16, 3]`."""
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
      # Datasets differ in how high shoulders and hips are relative to thorax
      # and pelvis. With any other rest pose, every frame would rotate the
      # collars, and the hips would be off.
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
  positions: np.ndarray,
  offsets: np.ndarray,
  root: np.ndarray,
  toes: Mapping[str, np.ndarray] | None,
) -> list[Rotation]:
  """Rotates each joint relative to its parent so that bones aim at positions.

  Bones aim from the joints of the rig, not from the given positions, so that
  differences in length do not add up along a limb.

  Args:
    positions: The joints of `H36M`, `[T, 16, 3]`, metres.
    offsets: The rest pose, `[R, 3]`, metres.
    root: The position of the pelvis, `[T, 3]`, metres.
    toes: The toes of each side, `[T, 3]`, metres; None if unknown.

  Returns:
    T rotations for each of the R joints.
  """
  across = _joint(positions, 'LShoulder') - _joint(positions, 'RShoulder')
  turns = [_pelvis(positions)]
  worlds, places = list(turns), [root]
  for index, name in enumerate(JOINTS[1:], start=1):
    world = worlds[PARENTS[index]]
    place = places[PARENTS[index]] + world.apply(offsets[index])
    if name in TARGETS:
      target = TARGETS[name]
      wanted = world.inv().apply(_joint(positions, target) - place)
      turn = _smallest(offsets[JOINTS.index(target)], wanted)
      if name == 'Spine':
        line = (world * turn).inv().apply(across)
        flat = np.linalg.norm(line[:, [0, 2]], axis=-1) > 1e-6
        angle = np.where(flat, np.arctan2(-line[:, 2], line[:, 0]), 0)
        turn = turn * Rotation.from_rotvec(angle[:, None] * _UP)
    elif toes is not None and name[1:] == 'Ankle':
      # From the joint, which the rig may have elsewhere.
      wanted = toes[name[0]] - _joint(positions, name)
      turn = _smallest(TOES, world.inv().apply(wanted))
    else:
      turn = Rotation.identity(len(root))
    turns.append(turn)
    worlds.append(world * turn)
    places.append(place)
  return turns


def _smallest(rest: np.ndarray, wanted: np.ndarray) -> Rotation:
  """Returns the T smallest rotations of a vector `[3]` to directions `[T, 3]`.

  They are the identity where either vector is zero.
  """
  length = np.linalg.norm(wanted, axis=-1, keepdims=True)
  start = rest / max(float(np.linalg.norm(rest)), 1e-12)
  end = np.where(length > 1e-9, wanted / np.maximum(length, 1e-12), start)
  cosine = end @ start
  quaternions = np.concatenate(
    [np.cross(start, end), 1 + cosine[:, None]], axis=-1
  )
  # For opposite directions, any perpendicular axis will do.
  quaternions[1 + cosine < 1e-9] = (-start[1], start[0], 0, 0)
  if not start.any():
    quaternions[:] = (0, 0, 0, 1)
  return Rotation.from_quat(quaternions)


def _place(
  offsets: np.ndarray, rotations: list[Rotation], root: np.ndarray
) -> np.ndarray:
  """Computes the positions `[T, 16, 3]` of `H36M`'s joints, metres."""
  _, places = in_world(offsets, rotations, root)
  return np.stack([places[index] for index in _OF_H36M], axis=1)


def in_world(
  offsets: np.ndarray, rotations: Sequence[Rotation], root: np.ndarray
) -> tuple[list[Rotation], list[np.ndarray]]:
  """Computes where the joints of a rig are, and how they are turned.

  Args:
    offsets: The rest pose, `[R, 3]`, metres.
    rotations: T rotations of each joint relative to its parent.
    root: The position of the pelvis, `[T, 3]`, metres.

  Returns:
    T rotations of each joint in the world, and its positions, `[T, 3]`, metres.
  """
  worlds, places = [rotations[0]], [root]
  for offset, parent, turn in zip(
    offsets[1:], PARENTS[1:], rotations[1:], strict=True
  ):
    places.append(places[parent] + worlds[parent].apply(offset))
    worlds.append(worlds[parent] * turn)
  return worlds, places


def _filled(
  found: np.ndarray, count: int, quaternions: np.ndarray, root: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Interpolates missing frames; see `fit`.

  Args:
    found: The indices of the known frames, `[N]`.
    count: The number T of all frames.
    quaternions: The rotations in known frames, `[N, R, 4]`.
    root: The position of the pelvis in them, `[N, 3]`.

  Returns:
    The rotations `[T, R, 4]` and positions `[T, 3]` in all frames.
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
  """Makes the signs of quaternions `[T, R, 4]` continuous over time."""
  same = (quaternions[1:] * quaternions[:-1]).sum(axis=-1) >= 0
  signs = np.cumprod(np.where(same, 1, -1), axis=0)
  first = np.where(quaternions[:1, :, 3] < 0, -1, 1)
  return quaternions * np.concatenate([first, first * signs])[..., None]
