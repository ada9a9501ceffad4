"""Smooths poses over time."""

import numpy as np
from scipy.signal import butter, sosfiltfilt

METHODS = ('none', 'one_euro', 'butterworth')
# What One Euro adds to the cut-off in Hz for each metre per second.
_ONE_EURO_BETA = 1.0
_SPEED_CUTOFF = 1.0  # The cut-off of the speed that it looks at, Hz.


def smooth(
  poses: np.ndarray,
  frames: np.ndarray,
  method: str,
  *,
  fps: float,
  cutoff: float,
) -> np.ndarray:
  """Smooths the poses of one person.

  Frames that follow each other in equal steps are smoothed together; a gap, and
  a pose that is NaN, separate. Butterworth leaves runs of fewer than ten poses
  as they are.

  Args:
    poses: The poses, `[T, J, 3]`, metres.
    frames: The number of the frame of each, ascending, `[T]`.
    method: 'none'; 'one_euro', which looks back alone (Casiez et al., CHI
      2012); or 'butterworth', of order 4, which looks both ways.
    fps: The frames a second; the poses may be of every n-th frame.
    cutoff: The cut-off frequency in Hz; of One Euro it is that of a body at
      rest. Butterworth leaves poses with less than two per period as they are.

  Returns:
    The smoothed poses, `[T, J, 3]`.
  """
  if method == 'none' or not len(poses):
    return poses
  result = poses.copy()
  known = np.asarray(np.isfinite(poses).all(axis=(1, 2)))
  steps = np.diff(frames)
  usual = np.median(steps) if len(steps) else 1
  rate = fps / usual  # Every n-th frame may be there.
  breaks = (steps != usual) | (known[1:] != known[:-1])
  for rows in np.split(np.arange(len(poses)), np.flatnonzero(breaks) + 1):
    if not known[rows[0]]:
      continue
    run = poses[rows]
    if method == 'one_euro':
      result[rows] = _one_euro(run, rate, cutoff)
    elif len(rows) > 9 and cutoff < rate / 2:  # Fewer cannot be padded.
      filters = butter(2, cutoff, fs=rate, output='sos')
      result[rows] = sosfiltfilt(filters, run, axis=0, padlen=9)
  return result


def _one_euro(values: np.ndarray, rate: float, cutoff: float) -> np.ndarray:
  def share(cutoff):
    step = 2 * np.pi * cutoff / rate
    return step / (step + 1)

  result, speed = values.copy(), np.zeros_like(values[0])
  for row in range(1, len(values)):
    moved = (values[row] - result[row - 1]) * rate
    speed = speed + share(_SPEED_CUTOFF) * (moved - speed)
    weight = share(cutoff + _ONE_EURO_BETA * np.abs(speed))
    result[row] = result[row - 1] + weight * (values[row] - result[row - 1])
  return result
