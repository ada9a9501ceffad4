"""Reads pictures ahead of their use, by threads or by processes of their own.

The processes import this module. It computes nothing by JAX, which Grain merely
imports, so that they take no memory of a device.
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

BLOCK = 16  # The most rows that are read as one piece of work.
_THREADS = 8  # At most, where no processes are asked for.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# The pictures of a block, `[b, S, S, 3]`, and the rows `[b]` that they are of.
Block = tuple[np.ndarray, np.ndarray]


def split_rows(rows: np.ndarray) -> list[np.ndarray]:
  """Splits rows `[n]` into blocks of at most `BLOCK`."""
  return np.split(rows, range(BLOCK, len(rows), BLOCK))


def read_ahead(
  images: ImageFiles, blocks: Sequence[np.ndarray], workers: int
) -> Generator[Block]:
  """Reads blocks of rows in their order, some of them ahead of their use.

  A row whose file is damaged inside is replaced by the next sound one, see
  `ImageFiles.read_sound`. What is read does not depend on the number of
  processes. They end when the generator is closed, and when this process does;
  signals that ask it to end are left to it.

  Args:
    images: The pictures.
    blocks: The rows of each block, `[b]` integers.
    workers: The number of processes that read; 0 reads by threads of this one.

  Yields:
    For each block its pictures and their rows.

  Raises:
    SettingError: Grain is not installed.
    UserError: Many pictures one after the other cannot be read.
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
    with _deaf_children():  # They are started when something is asked for.
      block = next(iterator, None)
    while block is not None:
      if isinstance(block, str):
        raise UserError(block)
      pictures, used = (np.frombuffer(part, kind) for part, kind in block)
      yield pictures.reshape(-1, *images.shape[1:]), used
      block = next(iterator, None)
  finally:
    # Older releases, which MediaPipe goes together with, have no `close`: there
    # the end of the last reference ends the processes.
    if hasattr(iterator, 'close'):
      iterator.close()
    del iterator


class _Reader:
  """Reads a block of rows; it is sent to the processes.

  What it returns goes through a pipe, as bytes. Arrays would go through shared
  memory, of which containers have little, and which is left behind when a
  process is told to end. An error goes as its message, as older releases of
  Grain wrap exceptions.
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
  """Starts processes so that they do not hear signals that ask them to end.

  Ctrl-C is sent to all processes of a terminal. If it ended those that read,
  training could not come to the end of its chunk.
  """
  if not hasattr(signal, 'pthread_sigmask'):  # As on Windows.
    yield
    return
  # A process has the mask of the thread that starts it. The tracker is started
  # first, since that clears the mask.
  resource_tracker.ensure_running()
  before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(index: int, count: int) -> None:
  """Prepares a process that reads: it ends with its parent, not by signals."""
  del index, count
  for number in _SIGNALS:
    signal.signal(number, signal.SIG_IGN)
  end_with_parent()


def _grain() -> Any:
  """Imports Grain.

  Raises:
    SettingError: It is not installed.
  """
  try:
    import grain  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise SettingError(
      '`image_dir`, `dataset=images`: training on files of pictures needs'
      ' Grain; install it by pip install "semgcn-jax[image]"'
    ) from error
  # Grain has flags of its own in absl's table of the whole program, which this
  # package does not parse. Their defaults will do.
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  return grain
