"""Draws the random numbers of pictures, from a stream for each of them."""

from collections.abc import Sequence

import numpy as np

_WIDTH = 96  # The random numbers that a stream has.


class Draws:
  """Hands out columns of random numbers, with a row for each stream.

  The order of the calls decides which numbers they get; the other rows of the
  batch do not.
  """

  def __init__(self, seed: Sequence[int], streams: Sequence[int] | np.ndarray):
    """Draws the numbers of all columns.

    Args:
      seed: Whole numbers that all streams have in common.
      streams: The number of each row's stream, `[N]`.
    """
    rows = [
      np.random.default_rng((*seed, int(stream))).random(_WIDTH)
      for stream in streams
    ]
    self._rows = np.stack(rows)
    self._used = 0

  def uniform(self, low, high, *shape: int) -> np.ndarray:
    """Draws `[N, *shape]` float64, uniformly from low to high.

    Raises:
      ValueError: The streams have no more numbers.
    """
    count = int(np.prod(shape, dtype=int))
    columns = self._rows[:, self._used : self._used + count]
    if columns.shape[1] < count:
      raise ValueError(f'a stream has {_WIDTH} random numbers, not more')
    self._used += count
    unit = columns.reshape(len(columns), *shape)
    return low + unit * (np.asarray(high) - low)

  def happens(self, probability: float) -> np.ndarray:
    """Draws whether something of this probability happens, `[N]` bool."""
    return self.uniform(0, 1) < probability

  def choice(self, options: Sequence) -> np.ndarray:
    """Draws one of the options for each row, `[N, ...]`."""
    index = (self.uniform(0, 1) * len(options)).astype(int)
    return np.asarray(options)[index]
