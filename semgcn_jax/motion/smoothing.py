"""Smooths poses over time."""

import dataclasses

import numpy as np
from scipy.signal import butter, sosfiltfilt

from semgcn_jax.detections.clips import Clip

METHODS = ('none', 'one_euro', 'butterworth')
# What One Euro adds to the cut-off in Hz for each metre per second.
_ONE_EURO_BETA = 1.0
_SPEED_CUTOFF = 1.0  # The cut-off of the speed that it looks at, Hz.


def smooth(clip: Clip, method: str, *, cutoff: float) -> Clip:
  """Smooths the poses and the places of the people of a clip.

  Frames that follow each other in equal steps are smoothed together; a gap, and
  a pose that is NaN, separate. Butterworth leaves runs of fewer than ten poses
  as they are.

  Args:
    clip: The clip; its poses may be of every n-th frame.
    method: 'none'; 'one_euro', which looks back alone (Casiez et al., CHI
      2012); or 'butterworth', of order 4, which looks both ways.
    cutoff: The cut-off frequency in Hz; of One Euro it is that of a body at
      rest. Butterworth leaves poses with less than two per period as they are.
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
  """Smooths what a person has in each frame, `[T, ...]`, metres."""
  if not len(values):
    return values
  result = values.copy()
  flat = values.reshape(len(values), -1)
  known = np.asarray(np.isfinite(flat).all(axis=1))
  steps = np.diff(frames)
  usual = np.median(steps) if len(steps) else 1
  rate = fps / usual  # Every n-th frame may be there.
  breaks = (steps != usual) | (known[1:] != known[:-1])
  for rows in np.split(np.arange(len(values)), np.flatnonzero(breaks) + 1):
    if not known[rows[0]]:
      continue
    run = values[rows]
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
