"""Benchmarks reading images, without training on them."""

import contextlib
import time

import numpy as np

from semgcn_jax.pictures.image_files import ImageFiles
from semgcn_jax.pictures.image_loading import read_ahead, split_rows


def measure_loading(
  images: ImageFiles, workers: int, seconds: float = 5.0
) -> float:
  """Measures the images per second of reading in random order.

  Args:
    images: The images.
    workers: The number of reading processes; 0 uses threads.
    seconds: How long to read, after the first block, which includes the start
      of the processes.

  Raises:
    SettingError: Grain is not installed.
    UserError: Many images in a row cannot be read.
  """
  rng = np.random.default_rng(0)
  # More than any machine reads in that time.
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
