"""Smooths poses over time."""

import dataclasses

import numpy as np

from semgcn_jax.detections.clips import Clip

# One Euro's increase of the cutoff, Hz per metre per second, and the cutoff of
# its speed filter, Hz.
_ONE_EURO_BETA, _SPEED_CUTOFF = 1.0, 1.0


def smooth(clip: Clip, method: str, *, cutoff: float) -> Clip:
  """Smooths the poses and places of the people in a clip.

  Each run of evenly spaced frames is smoothed by itself; gaps and NaN poses
  separate runs. Butterworth does not change runs of fewer than ten poses, or
  with fewer than two poses per period of the cutoff.

  Args:
    clip: The clip; it may have poses for every nth frame only.
    method: 'none'; 'one_euro', which is causal (Casiez et al., CHI 2012); or
      'butterworth', which is not, of order 4.
    cutoff: The cutoff frequency in Hz; for One Euro that of a body at rest.
  """
  if method == 'none':
    return clip

  def smoothed(person):
    poses, places = (
      None
      if values is None
      else _smooth(values, person.frames, method, clip.fps, cutoff)
      for values in (person.poses, person.places)
    )
    return dataclasses.replace(person, poses=poses, places=places)

  people = tuple(smoothed(person) for person in clip.people)
  return dataclasses.replace(clip, people=people)


def _smooth(
  values: np.ndarray, frames: np.ndarray, method: str, fps: float, cutoff: float
) -> np.ndarray:
  """Smooths values `[T, ...]`, metres, of a person in these frames."""
  if not len(values):
    return values
  result = values.copy()
  flat = values.reshape(len(values), -1)
  known = np.asarray(np.isfinite(flat).all(axis=1))
  steps = np.diff(frames)
  usual = np.median(steps) if len(steps) else 1
  rate = fps / usual  # There may be poses for every nth frame only.
  breaks = (steps != usual) | (known[1:] != known[:-1])
  for rows in np.split(np.arange(len(values)), np.flatnonzero(breaks) + 1):
    if not known[rows[0]]:
      continue
    run = values[rows]
    if method == 'one_euro':
      result[rows] = _one_euro(run, rate, cutoff)
    elif len(rows) > 9 and cutoff < rate / 2:  # Fewer cannot be padded.
      # It takes long to import, and is rarely needed.
      from scipy.signal import butter, sosfiltfilt

      filters = butter(2, cutoff, fs=rate, output='sos')
      result[rows] = sosfiltfilt(filters, run, axis=0, padlen=9)
  return result


def _one_euro(values: np.ndarray, rate: float, cutoff: float) -> np.ndarray:
  """Applies the One Euro filter to a run `[T, ...]`."""

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
