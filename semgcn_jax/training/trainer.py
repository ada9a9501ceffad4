"""The Trainer: the state and poses on the devices, trained by the epoch."""

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semgcn_jax.config import Config
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.cameras import Camera
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.runs.progress import Progress
from semgcn_jax.tasks import make_task
from semgcn_jax.training import processes
from semgcn_jax.training.feeding import is_resident, make_feed
from semgcn_jax.training.interrupts import StopRequest
from semgcn_jax.training.progress import ProgressBar
from semgcn_jax.training.state import AXIS, TrainState, create_train_state
from semgcn_jax.training.step import (
  chunk_bounds,
  make_epoch_order,
  make_train_chunk,
)

_ADVICE = 'earlier checkpoints are kept: lower `lr`, or check the data'


class Trainer:
  """Trains a state on poses, on the devices of this process.

  Attributes:
    mesh: The devices.
    steps: The number of steps per epoch.
    bounds: The last step of each chunk of an epoch, plus one.
    resident: Whether all poses stay on every device.
    feed: Feeds the poses of each chunk to the devices, see `feeding`.
    epoch_order: Shuffles an epoch, see `step.make_epoch_order`.
    train_chunk: Takes the steps of a chunk, see `step.make_train_chunk`.
    poses_bytes: The size of the training poses in bytes.
    state: The state, on the devices.
  """

  def __init__(
    self,
    config: Config,
    skeleton: Skeleton,
    arrays: Mapping[str, Any],
    cameras: Sequence[Camera] = (),
    fps: float = 0.0,
    *,
    weights: np.ndarray | None = None,
    devices: Sequence[Any] | None = None,
  ):
    """Prepares training with a fresh state, without compiling the step.

    Args:
      arrays: The training poses, see `Frames.arrays`.
      cameras: Their cameras, for virtual ones.
      fps: Their frame rate, for networks that see time.
      weights: How often to draw each pose, see `step.make_epoch_order`.
      devices: The JAX devices to train on; None takes all of this process.
    """
    training, num_poses = config.training, len(arrays['targets'])
    self.mesh = Mesh(np.array(devices or jax.local_devices()), (AXIS,))
    self.steps = num_poses * training.passes // training.batch_size
    self.bounds = chunk_bounds(self.steps, training.chunk_steps)
    task = make_task(config, skeleton)
    self.resident = task.needs_residence or not processes.any_process(
      not is_resident(arrays, training, self.mesh)
    )
    self.poses_bytes = sum(array.nbytes for array in arrays.values())
    self.feed = make_feed(
      arrays,
      self.mesh,
      AXIS,
      resident=self.resident,
      image_workers=training.image_workers,
    )
    self.epoch_order = make_epoch_order(
      num_poses, task.samples_per_step, self.bounds, self.mesh, weights
    )
    self.train_chunk = make_train_chunk(
      config, skeleton, self.mesh, cameras, resident=self.resident, fps=fps
    )
    self.place(create_train_state(config, skeleton, self.steps))

  def place(self, state: TrainState) -> None:
    """Puts a state on the devices."""
    self.state: TrainState = jax.device_put(
      state, NamedSharding(self.mesh, PartitionSpec())
    )

  def start(self, progress: Progress) -> int:
    """Returns the number of steps done in the current epoch."""
    return int(self.bounds[progress.chunks - 1]) if progress.chunks else 0

  def train_epoch(
    self, progress: Progress, bar: ProgressBar, stop: StopRequest
  ) -> Progress:
    """Trains until the end of the epoch, or a request to stop.

    Args:
      progress: Where to start.
      bar: The bar that shows each chunk.
      stop: The request to stop, checked after each chunk.

    Returns:
      The new progress, including the seconds taken.

    Raises:
      UserError: The loss or a parameter is not finite.
    """
    began = time.monotonic()

    def count(losses, start):
      """Checks the losses of a chunk while the devices run the next one."""
      nonlocal progress
      losses = np.asarray(losses, np.float64)
      # The mean over all seeds: one seed that diverges ends the run.
      losses = losses.reshape(-1, losses.shape[-1]).mean(axis=0)
      bad = np.flatnonzero(~np.isfinite(losses))
      if len(bad):
        raise UserError(
          f'the loss is {losses[bad[0]]} in epoch {progress.epoch + 1}, step'
          f' {start + bad[0] + 1}; {_ADVICE}'
        )
      progress = dataclasses.replace(
        progress,
        chunks=progress.chunks + 1,
        loss_sum=progress.loss_sum + losses.sum(),
      )
      bar.advance(len(losses), progress.epoch + 1, losses.mean())

    orders = self.epoch_order(self.state.rng, progress.epoch)
    orders = orders[progress.chunks :]
    start = self.start(progress)
    waiting = None
    with contextlib.closing(self.feed(orders)) as feeding:
      fed = next(feeding)
      for order in orders:
        self.state, losses = self.train_chunk(self.state, *fed)
        if waiting is not None:
          count(*waiting)
        # The next poses arrive while the devices run this chunk.
        fed = next(feeding, ())
        waiting = losses, start
        start += order.shape[-2]
        if stop.anywhere():
          break
    if waiting is not None:
      count(*waiting)
    self._check_finite(progress.epoch)
    return dataclasses.replace(
      progress, seconds=progress.seconds + time.monotonic() - began
    )

  def _check_finite(self, epoch: int) -> None:
    """Raises a UserError before a state that is not finite is saved."""
    finite = jax.tree.map(
      lambda x: bool(np.isfinite(x).all()), self.state.variables
    )
    if not all(jax.tree.leaves(jax.device_get(finite))):
      raise UserError(
        f'parameters are not finite in epoch {epoch + 1}, after step'
        f' {self.state.num_steps} of the run; {_ADVICE}'
      )
