"""Measures how fast pictures are read, without training on them."""

import contextlib
import time

import numpy as np

from semgcn_jax.pictures.image_files import ImageFiles
from semgcn_jax.pictures.image_loading import read_ahead, split_rows


def measure_loading(
  images: ImageFiles, workers: int, seconds: float = 5.0
) -> float:
  """Times the reading of pictures in random order, over and over.

  Args:
    images: The pictures.
    workers: The number of processes that read; 0 reads by threads.
    seconds: How long to read, after the first block, which waits for the
      processes to start.

  Returns:
    The pictures per second.

  Raises:
    SettingError: Grain is not installed.
    UserError: Many pictures one after the other cannot be read.
  """
  rng = np.random.default_rng(0)
  # No machine reads as many in the time.
  rows = rng.integers(len(images), size=max(1000, int(100_000 * seconds)))
  count = 0
  with contextlib.closing(
    read_ahead(images, split_rows(rows), workers)
  ) as ahead:
    next(ahead)
    start = time.perf_counter()
    for pictures, _ in ahead:
      count += len(pictures)
      if time.perf_counter() - start >= seconds:
        break
    return count / (time.perf_counter() - start)
