"""What a rate is: how many frames a second a clip, a file or a network has."""

from typing import Any

import numpy as np

from semgcn_jax.errors import SettingError

LOWEST, HIGHEST = 0.1, 10_000.0
RANGE = f'from {LOWEST:g} to {HIGHEST:,.0f}'
DEFAULT = 30.0  # Of what does not tell its rate.


def is_rate(value: Any) -> bool:
  """Tells whether a value is a number of frames a second; NaN is none."""
  is_number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in 'iuf'
  return is_number and LOWEST <= value <= HIGHEST


def check_fps(fps: Any) -> None:
  """Raises a SettingError if `fps` cannot be the frames a second of a clip."""
  if not is_rate(fps):
    raise SettingError(f'`fps={fps}`: must be {RANGE} frames a second')
