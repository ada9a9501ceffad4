"""Feeds the training poses to the devices: all at once, or in chunks."""

import contextlib
import functools
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semgcn_jax.config import TrainingConfig
from semgcn_jax.errors import shortened
from semgcn_jax.pictures.image_files import ImageFiles
from semgcn_jax.pictures.image_loading import read_ahead, split_rows
from semgcn_jax.tasks.augmentation import Batch

RESIDENT_SHARE = 0.5  # The share of a device's memory that poses may take.
_NAMED = 5  # The damaged images to name; all are counted.

# Maps the rows of each chunk, `[D, S, B / D]`, as `step.make_epoch_order` gives
# them, to a generator of what `step.make_train_chunk` takes for each: arrays,
# and rows in these arrays.
Feed = Callable[[Sequence[jax.Array]], Generator[tuple[Batch, jax.Array]]]


def is_resident(
  arrays: Mapping[str, Any], config: TrainingConfig, mesh: Mesh
) -> bool:
  """Returns whether the poses stay on the devices, see `device_data`.

  Image files never do.
  """
  if any(isinstance(array, ImageFiles) for array in arrays.values()):
    return False
  if config.device_data != 'auto':
    return config.device_data == 'resident'
  stats = mesh.devices[0].memory_stats() or {}
  size = sum(array.nbytes for array in arrays.values())
  return size <= RESIDENT_SHARE * stats.get('bytes_limit', np.inf)


def make_feed(
  arrays: Mapping[str, Any],
  mesh: Mesh,
  axis: str,
  *,
  resident: bool,
  image_workers: int = 0,
) -> Feed:
  """Makes the `Feed` of the training poses.

  Streamed poses are gathered on the host while the devices train on the chunk
  before, so a device never holds more than two chunks. Image files are read
  further ahead, until the generator is closed. The batches are always the same.

  Args:
    arrays: The training poses, see `Frames.arrays` of `tasks`; `images` may be
      `ImageFiles`.
    axis: The name of the axis of the mesh.
    resident: Whether all poses stay on every device.
    image_workers: The number of processes that read image files; 0 reads in
      threads of this one.
  """
  if resident:
    placed = jax.device_put(dict(arrays), NamedSharding(mesh, PartitionSpec()))
    return lambda orders: ((placed, order) for order in orders)
  sharding = NamedSharding(mesh, PartitionSpec(axis))
  images = arrays.get('images')
  if not isinstance(images, ImageFiles):
    return functools.partial(_feed_arrays, arrays, sharding)
  others = {name: a for name, a in arrays.items() if name != 'images'}
  damaged: set[int] = set()
  return functools.partial(
    _feed_pictures, images, others, sharding, image_workers, damaged
  )


def _feed_arrays(
  arrays: Mapping[str, Any],
  sharding: NamedSharding,
  orders: Sequence[jax.Array],
) -> Generator[tuple[Batch, jax.Array]]:
  """Gathers the poses of each chunk from arrays in memory."""
  for order in orders:
    rows = _rows(order)
    chunk = {name: array[rows] for name, array in arrays.items()}
    yield _place(chunk, order, sharding)


def _feed_pictures(
  images: ImageFiles,
  others: Mapping[str, Any],
  sharding: NamedSharding,
  workers: int,
  damaged: set[int],
  orders: Sequence[jax.Array],
) -> Generator[tuple[Batch, jax.Array]]:
  """Reads images ahead, and gathers the other arrays of each chunk.

  The rows of damaged images are added to `damaged`.
  """
  chunks, known = [_rows(order) for order in orders], len(damaged)
  blocks = [block for rows in chunks for block in split_rows(rows.ravel())]
  with contextlib.closing(read_ahead(images, blocks, workers)) as ahead:
    for order, rows in zip(orders, chunks, strict=True):
      pictures, used = _take(images, ahead, rows.size)
      _name_damaged(images, rows.ravel(), used, damaged)
      used = used.reshape(rows.shape)
      chunk = {name: array[used] for name, array in others.items()}
      chunk['images'] = pictures.reshape(*rows.shape, *images.shape[1:])
      yield _place(chunk, order, sharding)
  if len(damaged) > max(known, _NAMED):
    logging.getLogger('semgcn_jax').warning(
      '%d images are damaged; others replace them', len(damaged)
    )


def _take(
  images: ImageFiles,
  ahead: Iterator[tuple[np.ndarray, np.ndarray]],
  count: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Takes the next n images, `[n, S, S, 3]`, and their rows, `[n]`."""
  pictures = np.empty((count, *images.shape[1:]), images.dtype)
  used = np.empty(count, np.int64)
  start = 0
  while start < count:
    block, block_rows = next(ahead)
    end = start + len(block)
    pictures[start:end], used[start:end] = block, block_rows
    start = end
  return pictures, used


def _place(
  chunk: dict[str, Any], order: jax.Array, sharding: NamedSharding
) -> tuple[Batch, jax.Array]:
  """Puts the arrays of a chunk, `[D, S * B / D, ...]`, on the devices."""
  steps, share = order.shape[-2:]
  places = np.arange(steps * share, dtype=np.int32).reshape(steps, share)
  places = np.broadcast_to(places, order.shape)
  return jax.device_put((chunk, jnp.asarray(places)), sharding)


def _rows(order: jax.Array) -> np.ndarray:
  """Joins the steps of a chunk: `[D, S, B / D]` to `[D, S * B / D]`."""
  return np.asarray(order).reshape(*order.shape[:-2], -1)


def _name_damaged(
  images: ImageFiles, asked: np.ndarray, used: np.ndarray, damaged: set[int]
) -> None:
  """Names the first few images that were replaced, and adds all to `damaged`.

  The rows to read are `asked`, `[n]`, and those read instead `used`, `[n]`.
  """
  for place in np.flatnonzero(asked != used).tolist():
    row = int(asked[place])
    if row in damaged:
      continue
    damaged.add(row)
    if len(damaged) <= _NAMED:
      logging.getLogger('semgcn_jax').warning(
        '%s: is damaged; %s replaces it',
        shortened(images.paths[row], 200),
        shortened(images.paths[used[place]], 200),
      )
