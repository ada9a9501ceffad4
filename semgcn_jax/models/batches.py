"""Runs compiled functions on any number of rows, in batches of a few sizes."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np


def run_batches(
  function: Callable[[np.ndarray], Any], count: int, sizes: Iterable[int]
) -> Any:
  """Runs a function on all rows, always on one of a few numbers of them.

  Args:
    function: Takes the rows of a batch, `[n]`, where n is one of `sizes`, and
      returns a tree of arrays, `[n, ...]`. The last batch is filled up with the
      first rows again.
    count: The number of rows, N, at least 1.
    sizes: The sizes of batches to choose from; see `split`.

  Returns:
    The results of all rows: a tree of NumPy arrays, `[N, ...]`.
  """
  whole, start = None, 0
  for size in split(count, sizes):
    rows = np.arange(start, start + size) % count
    part = jax.device_get(function(rows))
    if whole is None:
      whole = jax.tree.map(
        lambda x: np.empty((count, *x.shape[1:]), x.dtype), part
      )
    for all_rows, of_batch in zip(
      jax.tree.leaves(whole), jax.tree.leaves(part), strict=True
    ):
      all_rows[rows] = of_batch
    start += size
  return whole


def split(count: int, sizes: Iterable[int]) -> list[int]:
  """Cuts a batch into parts of given sizes, wasting little.

  Only the last part may be larger than what is left for it, and it is less than
  four times as large, unless there is no smaller size.

  Args:
    count: The size of the batch, at least 1.
    sizes: The sizes to choose from.

  Returns:
    The size of each part.
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
