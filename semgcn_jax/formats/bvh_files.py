"""Writes Biovision hierarchies (.bvh): joints and their angles over time."""

import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.config.choices import BVH_UNITS
from semgcn_jax.errors import UserError, choose
from semgcn_jax.motion.rig import JOINTS, NAMES, PARENTS, TOES, Motion

# LAFAN1 has toes, which do not turn; their ends are so far from them, metres.
_TOES = {'LeftFoot': 'LeftToe', 'RightFoot': 'RightToe'}
_TOE_END = np.array((0.0, 0.0, 0.05))
# The ends of the last bones, relative to their joints, metres: the top of the
# head, the middle of the hands, and the toes.
_ENDS = {
  'Head': np.array((0.0, 0.05, 0.0)),
  'LWrist': np.array((0.09, 0.0, 0.0)),
  'RWrist': np.array((-0.09, 0.0, 0.0)),
  **dict.fromkeys(('LAnkle', 'RAnkle'), TOES),
}


def bvh_text(motion: Motion, names: str = 'h36m', unit: str = 'cm') -> str:
  """Writes the text of a .bvh file: one person, y up.

  The format has no start time, so the file begins with the motion.

  Args:
    motion: The motion of the person.
    names: The names of the joints, a key of `NAMES`; lafan1 has toes, too.
    unit: The unit of lengths, a key of `choices.BVH_UNITS`.

  Raises:
    UserError: The motion has no frames.
    SettingError: There are no such names, or no such unit.
  """
  labels = choose('names', names, NAMES)
  if not len(motion.root):
    raise UserError('the motion has no frames; a .bvh file needs at least one')
  scale = choose('unit', unit, BVH_UNITS)
  has_toes = names == 'lafan1'
  lines = ['HIERARCHY']
  lines += _hierarchy(0, motion, labels, '', scale, has_toes)
  lines += [
    'MOTION',
    f'Frames: {len(motion.root)}',
    f'Frame Time: {1 / motion.fps:.9f}',
  ]
  columns = [motion.root * scale]
  for index in range(len(JOINTS)):
    columns.append(_angles(motion.rotations[:, index], _order(index)))
    if has_toes and labels[index] in _TOES:
      columns.append(np.zeros((len(motion.root), 3)))
  # Adding 0 turns -0 into 0.
  for row in np.round(np.concatenate(columns, axis=1), 6) + 0.0:
    lines.append(' '.join(f'{value:.6f}' for value in row))
  return '\n'.join(lines) + '\n'


def _hierarchy(
  index: int,
  motion: Motion,
  labels: tuple[str, ...],
  indent: str,
  scale: float,
  has_toes: bool,
) -> list[str]:
  """Lists the lines of a joint and of everything below it."""
  inner = f'{indent}  '
  # The root's position is in its channels; some readers would add both.
  offset = motion.offsets[index] * (PARENTS[index] >= 0)
  channels = [f'{axis}rotation' for axis in _order(index)]
  if PARENTS[index] < 0:
    channels = ['Xposition', 'Yposition', 'Zposition', *channels]
  lines = [
    f'{indent}{"JOINT" if indent else "ROOT"} {labels[index]}',
    f'{indent}{{',
    f'{inner}{_offset(offset, scale)}',
    f'{inner}CHANNELS {len(channels)} {" ".join(channels)}',
  ]
  for child, parent in enumerate(PARENTS):
    if parent == index:
      lines += _hierarchy(child, motion, labels, inner, scale, has_toes)
  if JOINTS[index] in _ENDS:
    end = _ENDS[JOINTS[index]]
    lines += [
      f'{inner}{line}' for line in _end(labels[index], end, scale, has_toes)
    ]
  return [*lines, f'{indent}}}']


def _end(
  label: str, end: np.ndarray, scale: float, has_toes: bool
) -> list[str]:
  """Lists the lines of the end of a limb, or of a joint there and its end."""
  if has_toes and label in _TOES:
    below = _end('', _TOE_END, scale, has_toes)
    return [
      f'JOINT {_TOES[label]}',
      '{',
      f'  {_offset(end, scale)}',
      '  CHANNELS 3 Zrotation Yrotation Xrotation',
      *(f'  {line}' for line in below),
      '}',
    ]
  return ['End Site', '{', f'  {_offset(end, scale)}', '}']


def _offset(offset: np.ndarray, scale: float) -> str:
  """Formats an offset, given in metres."""
  values = np.round(np.asarray(offset) * scale, 6) + 0.0
  return f'OFFSET {" ".join(f"{value:.6f}" for value in values)}'


def _order(index: int) -> str:
  """Chooses the order of a joint's Euler angles.

  They jump where the middle one nears 90 degrees, so it is the one that stays
  small: the twist of a limb, and the sideways bend of the trunk. The rotation
  about the vertical is not limited.
  """
  if JOINTS[index][1:] in ('Hip', 'Knee', 'Ankle'):
    return 'ZYX'
  if JOINTS[index][1:] in ('Clavicle', 'Shoulder', 'Elbow', 'Wrist'):
    return 'ZXY'
  return 'YZX'


def _angles(quaternions: np.ndarray, order: str) -> np.ndarray:
  """Computes Euler angles `[T, 3]`, degrees, without jumps by 360."""
  with warnings.catch_warnings():
    # In gimbal lock, any of the solutions will do.
    warnings.filterwarnings('ignore', message='Gimbal lock')
    angles = Rotation.from_quat(quaternions).as_euler(order, degrees=True)
  return np.unwrap(angles, period=360, axis=0)
