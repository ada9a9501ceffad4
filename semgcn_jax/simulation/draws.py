"""Draws the random numbers of images, each from its own stream."""

from collections.abc import Sequence

import numpy as np

_WIDTH = 96  # The length of a stream.


class Draws:
  """Draws columns of random numbers, with a row for each stream.

  The numbers depend on the order of the calls, not on the rest of the batch.
  """

  def __init__(self, seed: Sequence[int], streams: Sequence[int] | np.ndarray):
    """Seeds the streams.

    Args:
      seed: Integers that all streams share.
      streams: The number of each row's stream, `[N]`.
    """
    rngs = [np.random.default_rng((*seed, int(stream))) for stream in streams]
    self._rows = np.stack([rng.random(_WIDTH) for rng in rngs])
    self._used = 0

  def uniform(self, low, high, *shape: int) -> np.ndarray:
    """Draws `[N, *shape]` float64, uniformly from low to high.

    Raises:
      ValueError: The streams are used up.
    """
    count = int(np.prod(shape, dtype=int))
    columns = self._rows[:, self._used : self._used + count]
    if columns.shape[1] < count:
      raise ValueError(f'a stream has {_WIDTH} random numbers, not more')
    self._used += count
    unit = columns.reshape(len(columns), *shape)
    return low + unit * (np.asarray(high) - low)

  def happens(self, probability: float) -> np.ndarray:
    """Draws `[N]` bool, true with this probability."""
    return self.uniform(0, 1) < probability

  def choice(self, options: Sequence) -> np.ndarray:
    """Draws an option for each row, `[N, ...]`."""
    index = (self.uniform(0, 1) * len(options)).astype(int)
    return np.asarray(options)[index]
