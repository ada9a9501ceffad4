"""Writes joint angles as OpenSim's .mot, or as CSV."""

from collections.abc import Mapping

import numpy as np

from semgcn_jax.motion.angles import TRANSLATIONS


def mot_text(
  angles: Mapping[str, np.ndarray], fps: float, first: int = 0, name: str = ''
) -> str:
  """Writes the text of a .mot file: degrees, and metres of the pelvis.

  Args:
    angles: {name of a coordinate: its values, `[T]`}; NaN stays NaN.
    fps: The frames per second.
    first: The number of the first frame.
    name: The name of the motion.
  """
  header = [
    name or 'motion',
    'version=1',
    f'nRows={len(next(iter(angles.values())))}',
    f'nColumns={1 + len(angles)}',
    'inDegrees=yes',
    'endheader',
    '\t'.join(['time', *angles]),
  ]
  return '\n'.join(header + _rows(angles, fps, first, '\t', 'nan')) + '\n'


def csv_text(
  angles: Mapping[str, np.ndarray], fps: float, first: int = 0
) -> str:
  """Writes CSV: a line for each frame, whose unknown angles are empty."""
  units = {
    name: f'{name} [{"m" if name in TRANSLATIONS else "deg"}]'
    for name in angles
  }
  header = ','.join(['time [s]', *units.values()])
  return '\n'.join([header, *_rows(angles, fps, first, ',', '')]) + '\n'


def _rows(
  angles: Mapping[str, np.ndarray],
  fps: float,
  first: int,
  separator: str,
  unknown: str,
) -> list[str]:
  """Formats a line for each frame, after its time in seconds."""
  lines = []
  for number, row in enumerate(np.stack([*angles.values()], axis=1)):
    values = [f'{x:.6f}' if np.isfinite(x) else unknown for x in row]
    lines.append(separator.join([f'{(first + number) / fps:.6f}', *values]))
  return lines
