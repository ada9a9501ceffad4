"""Prefetches images with threads or worker processes.

The workers import this module. It computes nothing with JAX, which Grain merely
imports, so they take no device memory.
"""

import contextlib
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any

import numpy as np
from absl import flags

from semgcn_jax.child_processes import end_with_parent
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.pictures.image_files import ImageFiles

BLOCK = 16  # The rows in one unit of work, at most.
_THREADS = 8  # At most, without workers.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# The images of a block, `[b, S, S, 3]`, and their rows, `[b]`.
Block = tuple[np.ndarray, np.ndarray]


def split_rows(rows: np.ndarray) -> list[np.ndarray]:
  """Splits rows `[n]` into blocks of at most `BLOCK`."""
  return np.split(rows, range(BLOCK, len(rows), BLOCK))


def read_ahead(
  images: ImageFiles, blocks: Sequence[np.ndarray], workers: int
) -> Generator[Block]:
  """Reads blocks of rows in order, ahead of their use.

  A row whose file is damaged inside is replaced by the next sound one; see
  `ImageFiles.read_sound`. The result does not depend on the number of workers.
  They end with the generator or with this process, and leave signals to it.

  Args:
    images: The images.
    blocks: The rows of each block, `[b]` integers.
    workers: The number of worker processes; 0 reads with threads.

  Yields:
    The images of each block, and their rows.

  Raises:
    SettingError: Grain is not installed.
    UserError: Many images in a row cannot be read.
  """
  grain = _grain()
  threads = min(_THREADS, os.cpu_count() or 1) if not workers else 1
  options = grain.ReadOptions(
    num_threads=threads, prefetch_buffer_size=2 * threads
  )
  dataset = grain.MapDataset.source(blocks).map(_Reader(images))
  dataset = dataset.to_iter_dataset(options)
  if workers:
    dataset = dataset.mp_prefetch(
      grain.multiprocessing.MultiprocessingOptions(
        workers, per_worker_buffer_size=2
      ),
      worker_init_fn=_begin_worker,
    )
  iterator = iter(dataset)
  try:
    with _deaf_children():  # They start with the first request.
      block = next(iterator, None)
    while block is not None:
      if isinstance(block, str):
        raise UserError(block)
      pictures, used = (np.frombuffer(part, kind) for part, kind in block)
      yield pictures.reshape(-1, *images.shape[1:]), used
      block = next(iterator, None)
  finally:
    # Older releases, which MediaPipe requires, have no `close`; there the
    # workers end with the last reference.
    if hasattr(iterator, 'close'):
      iterator.close()
    del iterator


class _Reader:
  """Reads a block of rows; it is sent to the workers.

  Results go through a pipe, as bytes. Arrays would go through shared memory,
  which is scarce in containers, and leaks when a process is terminated. Errors
  go as messages, since older releases of Grain wrap exceptions.
  """

  def __init__(self, images: ImageFiles):
    self._images = images

  def __call__(self, rows: np.ndarray) -> tuple[tuple[bytes, str], ...] | str:
    pictures = np.empty((len(rows), *self._images.shape[1:]), np.uint8)
    used = np.empty(len(rows), np.int64)
    try:
      for place, row in enumerate(rows.tolist()):
        pictures[place], used[place] = self._images.read_sound(row)
    except UserError as error:
      return str(error)
    return (pictures.tobytes(), 'uint8'), (used.tobytes(), 'int64')


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
  """Starts processes with the signals that would end them blocked.

  Ctrl-C is sent to all processes of a terminal. If it ended the workers,
  training could not finish its chunk.
  """
  if not hasattr(signal, 'pthread_sigmask'):  # As on Windows.
    yield
    return
  # A process inherits the mask of the thread that starts it. The tracker comes
  # first, since starting it clears the mask.
  resource_tracker.ensure_running()
  before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(index: int, count: int) -> None:
  """Prepares a worker: it ends with its parent, not by signals."""
  del index, count
  for number in _SIGNALS:
    signal.signal(number, signal.SIG_IGN)
  end_with_parent()


def _grain() -> Any:
  """Imports Grain; raises a SettingError if it is not installed."""
  try:
    import grain  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise SettingError(
      '`image_dir`, `dataset=images`: training on image files needs Grain;'
      ' install it with pip install "semgcn-jax[image]"'
    ) from error
  # Grain defines absl flags, which this package never parses; defaults will do.
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  return grain
