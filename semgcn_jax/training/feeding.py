"""Brings the training poses to the devices: all of them once, or in chunks."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semgcn_jax.config import TrainingConfig
from semgcn_jax.training.augmentation import Batch

RESIDENT_SHARE = 0.5  # The share of a device's memory that poses may take.

# A function from the rows `[D, S, B / D]` that `step.make_epoch_order` gives to
# the arrays of a batch, and rows in these arrays.
Feed = Callable[[jax.Array], tuple[Batch, jax.Array]]


def is_resident(
  arrays: dict[str, np.ndarray], config: TrainingConfig, mesh: Mesh
) -> bool:
  """Tells whether the poses stay on the devices, as `device_data` says."""
  if config.device_data != 'auto':
    return config.device_data == 'resident'
  stats = mesh.devices[0].memory_stats() or {}
  size = sum(array.nbytes for array in arrays.values())
  return size <= RESIDENT_SHARE * stats.get('bytes_limit', np.inf)


def make_feed(
  arrays: dict[str, np.ndarray], mesh: Mesh, axis: str, *, resident: bool
) -> Feed:
  """Makes the function that brings the poses of a chunk to the devices.

  Streamed poses are gathered on the host while the devices train on the chunk
  before, so there are never more than two chunks on a device. The batches are
  the same either way.

  Args:
    arrays: The training poses, see `augmentation.batch_arrays`.
    mesh: The devices of this process.
    axis: The name of the axis of the mesh.
    resident: Whether all poses stay on every device.

  Returns:
    The function, see `Feed`.
  """
  if resident:
    placed = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec()))
    return lambda order: (placed, order)
  sharding = NamedSharding(mesh, PartitionSpec(axis))

  def feed(order):
    rows = np.asarray(order)
    *leading, steps, share = rows.shape
    rows = rows.reshape(*leading, steps * share)
    chunk = {name: array[rows] for name, array in arrays.items()}
    places = np.arange(steps * share, dtype=np.int32).reshape(steps, share)
    places = np.broadcast_to(places, order.shape)
    return jax.device_put((chunk, jnp.asarray(places)), sharding)

  return feed
