"""Writes joints as the markers of biomechanics: .trc and .c3d.

Axes are those of OpenSim's ground, see `motion.angles`: millimetres, y up.
"""

import pathlib
import tempfile

import numpy as np

from semgcn_jax.errors import missing_extra
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.motion.angles import GROUND

_MILLIMETRES = 1000
# The names that Pose2Sim and the markers of its OpenSim models use.
_OTHER_NAMES = {'Pelvis': 'Hip', 'Thorax': 'Neck'}
MARKERS = tuple(_OTHER_NAMES.get(joint, joint) for joint in H36M.joints)
# Those of `joint_sets.FEET`, which follow if they are known.
_FEET = ('RHeel', 'RBigToe', 'LHeel', 'LBigToe')


def trc_text(
  positions: np.ndarray, fps: float, first: int = 0, name: str = 'walk.trc'
) -> str:
  """Writes the text of a .trc file (Track Row Column).

  Args:
    positions: The joints of `H36M` in the room, `[T, 16, 3]`, metres, or these
      and heels and toes, `[T, 20, 3]`; the markers of poses with missing values
      are nan.
    fps: The frames per second.
    first: The number of the first frame.
    name: The name of the file, which its header has.
  """
  count, rate = len(positions), f'{fps:.10g}'
  markers = _markers(positions)
  lines = [
    f'PathFileType\t4\t(X/Y/Z)\t{name}',
    'DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate'
    '\tOrigDataStartFrame\tOrigNumFrames',
    '\t'.join(
      map(str, (rate, rate, count, len(markers), 'mm', rate, first, count))
    ),
    'Frame#\tTime\t' + '\t\t\t'.join(markers) + '\t\t',
    '\t\t' + '\t'.join(f'X{n}\tY{n}\tZ{n}' for n in range(1, len(markers) + 1)),
    '',
  ]
  for number, row in enumerate(in_ground(positions), start=first):
    # OpenSim refuses lines that end with an empty value.
    values = [f'{x:.3f}' if np.isfinite(x) else 'nan' for x in row.ravel()]
    lines.append('\t'.join([str(number), f'{number / fps:.6f}', *values]))
  return '\n'.join(lines) + '\n'


def c3d_bytes(positions: np.ndarray, fps: float, first: int = 0) -> bytes:
  """Writes a .c3d file (Coordinate 3D); see `trc_text`.

  Raises:
    SettingError: ezc3d is not installed.
  """
  try:
    import ezc3d
  except ImportError as error:
    raise missing_extra('.c3d files', 'ezc3d', 'c3d', error) from error
  markers = _markers(positions)
  points = np.ones((4, len(markers), len(positions)))
  points[:3] = in_ground(positions).transpose(2, 1, 0)
  missing = ~np.isfinite(points).all(axis=0)
  points[:, missing] = np.nan
  file = ezc3d.c3d()
  file['parameters']['POINT']['RATE']['value'] = [fps]
  file['parameters']['POINT']['LABELS']['value'] = markers
  file['parameters']['POINT']['UNITS']['value'] = ['mm']
  file.add_parameter('POINT', 'X_SCREEN', '+X')
  file.add_parameter('POINT', 'Y_SCREEN', '+Y')
  file['header']['points']['first_frame'] = first
  file['data']['points'] = points
  # A residual below zero says that a marker is missing.
  residuals = np.where(missing, -1.0, 0.0)[None]
  file['data']['meta_points']['residuals'] = residuals
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'walk.c3d'
    file.write(str(path))
    return path.read_bytes()


def _markers(positions: np.ndarray) -> tuple[str, ...]:
  """Names the markers of positions `[T, 16, 3]` or `[T, 20, 3]`."""
  return (MARKERS + _FEET)[: positions.shape[1]]


def in_ground(positions: np.ndarray) -> np.ndarray:
  """Turns positions `[T, P, 3]`, metres, of the room to markers, mm."""
  return positions @ GROUND.T * _MILLIMETRES
