"""Runs compiled functions on any number of rows, in batches of a few sizes."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np


def run_batches(
  function: Callable[[np.ndarray], Any], count: int, sizes: Iterable[int]
) -> Any:
  """Runs a function on all rows, in batches of a few sizes.

  Args:
    function: Takes the rows of a batch, `[n]`, where n is one of `sizes`, and
      returns a tree of arrays, `[n, ...]`. The last batch wraps around to the
      first rows, whose results are then dropped.
    count: The number of rows, N, at least 1.
    sizes: The batch sizes to choose from; see `split`.

  Returns:
    The results of all rows, a tree of NumPy arrays, `[N, ...]`.
  """
  parts, start = [], 0
  for size in split(count, sizes):
    rows = np.arange(start, start + size)
    part = jax.device_get(function(rows % count))
    parts.append(jax.tree.map(lambda x, end=count - start: x[:end], part))
    start += size
  return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def split(count: int, sizes: Iterable[int]) -> list[int]:
  """Splits a batch of `count` rows into parts of given sizes, wasting little.

  Only the last part can exceed the rows left, by less than a factor of four
  unless there is no smaller size.
  """
  sizes, parts = sorted(sizes), []
  while count > 0:
    above = [size for size in sizes if count <= size][:1]
    below = [size for size in sizes if size <= count][-1:]
    if not below or above and above[0] < 4 * count:
      (part,) = above
    else:
      (part,) = below
    parts.append(part)
    count -= part
  return parts
