"""Frame rates of clips, files and networks, in frames per second."""

from typing import Any

import numpy as np

from semgcn_jax.errors import SettingError

LOWEST, HIGHEST = 0.1, 10_000.0
RANGE = f'from {LOWEST:g} to {HIGHEST:,.0f}'
DEFAULT = 30.0  # Where the rate is unknown.
OF_NETWORKS = 1, 1000  # The lowest and the highest rate a network can have.


def is_rate(value: Any) -> bool:
  """Returns whether a value is a valid frame rate; NaN is not."""
  is_number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in 'iuf'
  return is_number and LOWEST <= value <= HIGHEST


def check_fps(fps: Any) -> None:
  """Raises a SettingError if `fps` is not a valid frame rate."""
  if not is_rate(fps):
    raise SettingError(f'`fps={fps}`: must be {RANGE} frames per second')
