"""Writes Biovision's format (.bvh): a hierarchy of joints, and their angles."""

import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.errors import UserError, choose
from semgcn_jax.motion.rig import JOINTS, NAMES, PARENTS, Motion

_CENTIMETRES = 100
# Where the bones end that no other joint ends: the top of the head, the middle
# of the hands, and the toes, in metres from the joint.
_ENDS = {
  'Head': (0.0, 0.05, 0.0),
  'LWrist': (0.09, 0.0, 0.0),
  'RWrist': (-0.09, 0.0, 0.0),
  'LAnkle': (0.0, -0.06, 0.16),
  'RAnkle': (0.0, -0.06, 0.16),
}


def bvh_text(motion: Motion, names: str = 'h36m') -> str:
  """Makes the text of a .bvh file: one person, centimetres, y up.

  The format has no time of the first frame: the file begins with the motion.

  Args:
    motion: The motion of the person.
    names: How the joints are called, a key of `NAMES`.

  Raises:
    UserError: The motion has no frame.
    SettingError: There are no such names.
  """
  labels = choose('names', names, NAMES)
  if not len(motion.root):
    raise UserError('the motion has no frame; a .bvh file needs at least one')
  lines = ['HIERARCHY', *_hierarchy(0, motion, labels, '')]
  lines += [
    'MOTION',
    f'Frames: {len(motion.root)}',
    f'Frame Time: {1 / motion.fps:.9f}',
  ]
  columns = [motion.root * _CENTIMETRES]
  columns += [
    _angles(motion.rotations[:, index], _order(index))
    for index in range(len(JOINTS))
  ]
  # Adding zero turns -0 into 0.
  for row in np.round(np.concatenate(columns, axis=1), 6) + 0.0:
    lines.append(' '.join(f'{value:.6f}' for value in row))
  return '\n'.join(lines) + '\n'


def _hierarchy(
  index: int, motion: Motion, labels: tuple[str, ...], indent: str
) -> list[str]:
  """Makes the lines of a joint and of all that are below it."""
  inner = f'{indent}  '
  # The root's place is in its channels, and some readers would add both.
  offset = motion.offsets[index] * (PARENTS[index] >= 0)
  channels = [f'{axis}rotation' for axis in _order(index)]
  if PARENTS[index] < 0:
    channels = ['Xposition', 'Yposition', 'Zposition', *channels]
  lines = [
    f'{indent}{"JOINT" if indent else "ROOT"} {labels[index]}',
    f'{indent}{{',
    f'{inner}{_offset(offset)}',
    f'{inner}CHANNELS {len(channels)} {" ".join(channels)}',
  ]
  for child, parent in enumerate(PARENTS):
    if parent == index:
      lines += _hierarchy(child, motion, labels, inner)
  if JOINTS[index] in _ENDS:
    end = np.array(_ENDS[JOINTS[index]])
    lines += [f'{inner}End Site', f'{inner}{{']
    lines += [f'{inner}  {_offset(end)}', f'{inner}}}']
  return [*lines, f'{indent}}}']


def _offset(offset: np.ndarray) -> str:
  """Makes the text of an offset, given in metres."""
  values = np.round(offset * _CENTIMETRES, 6) + 0.0
  return f'OFFSET {" ".join(f"{value:.6f}" for value in values)}'


def _order(index: int) -> str:
  """Chooses the order of a joint's three angles.

  Angles jump where the one in the middle nears 90 degrees. So it is the one
  that stays small: the twist of a limb about its bone, and of the trunk the
  bend to the side. The person may turn about the vertical as often as wanted.
  """
  if JOINTS[index][1:] in ('Hip', 'Knee', 'Ankle'):
    return 'ZYX'
  if JOINTS[index][1:] in ('Clavicle', 'Shoulder', 'Elbow', 'Wrist'):
    return 'ZXY'
  return 'YZX'


def _angles(quaternions: np.ndarray, order: str) -> np.ndarray:
  """Makes angles `[T, 3]` in degrees, without jumps by 360, in this order."""
  with warnings.catch_warnings():
    # Where two axes coincide, any of the angles that fit will do.
    warnings.filterwarnings('ignore', message='Gimbal lock')
    angles = Rotation.from_quat(quaternions).as_euler(order, degrees=True)
  return np.unwrap(angles, period=360, axis=0)
