"""The training step, compiled to run many steps per call."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semgcn_jax.config import Config
from semgcn_jax.geometry.cameras import Camera
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.build import build
from semgcn_jax.models.precision import matmul_precision
from semgcn_jax.tasks import Frames, make_task
from semgcn_jax.tasks.augmentation import Batch
from semgcn_jax.training.losses import (
  MEASURES,
  NODE_MEASURES,
  node_loss,
  pose_loss,
)
from semgcn_jax.training.state import AXIS, TrainState, pack_state

DROPOUT, SHUFFLE, AUGMENT = range(3)  # The purposes of random keys.
AVERAGING_POSES = 256  # The poses per decay of the setting `averaging`.


def train_step(
  state: TrainState,
  batch: Batch,
  *,
  augment_fn: Callable[[jax.Array, Batch], Batch],
  loss: Callable[[Any, Batch], jax.Array],
  decay: float,
) -> tuple[TrainState, jax.Array]:
  """Takes one step; runs under pmap over `AXIS`.

  Args:
    state: The state, the same on every device.
    batch: This device's share of the batch, see `augmentation`.
    augment_fn: Varies the batch, given a random key and the batch.
    loss: Measures predictions, given those and the batch.
    decay: The decay of the averaged variables per step.

  Returns:
    The new state, and the loss over the whole batch.
  """

  def key(purpose):
    rng = jax.random.fold_in(state.rng, purpose)
    for number in (state.step, jax.lax.axis_index(AXIS)):
      rng = jax.random.fold_in(rng, number)
    return rng

  batch = augment_fn(key(AUGMENT), batch)

  def loss_fn(params):
    predicted, updated = state.apply_fn(
      state.variables | {'params': params},
      batch.get('images', batch['inputs']),
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key(DROPOUT)},
    )
    return loss(predicted, batch), updated['batch_stats']

  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  (value, batch_stats), grads = grad_fn(state.params)
  value, grads = jax.lax.pmean((value, grads), AXIS)
  new = state.apply_gradients(grads=grads, batch_stats=batch_stats)
  if state.averaged is not None:
    # A decay of min(decay, (1 + t) / (10 + t)) soon forgets the start.
    share = jnp.maximum(1 - decay, 9 / (10.0 + state.step))
    # This form keeps constants, such as frozen parts, exactly; a weighted sum
    # would round them.
    averaged = jax.tree.map(
      lambda average, x: average + share * (x - average),
      state.averaged,
      new.variables,
    )
    new = new.replace(averaged=averaged)
  return new, value


def _make_step(
  task: Frames, cameras: Sequence[Camera], fps: float
) -> Callable[[TrainState, Batch], tuple[TrainState, jax.Array]]:
  """Builds the `train_step` of a task."""
  training, skeleton = task.config.training, task.skeleton
  if task.config.takes == 'nodes':
    measure = NODE_MEASURES[training.loss]
    measured = functools.partial(node_loss, measure=measure)
  else:
    measured = functools.partial(
      pose_loss,
      measure=MEASURES[training.loss_measure],
      bones=training.bones_count,
      skeleton=skeleton,
      num_predicted=build(task.config.model, skeleton).num_predicted,
    )
  return functools.partial(
    train_step,
    augment_fn=task.make_augment(cameras, fps),
    loss=functools.partial(task.loss, pose_loss=measured),
    # The average covers the same number of poses at any batch size.
    decay=training.averaging ** (training.batch_size / AVERAGING_POSES),
  )


def make_train_chunk(
  config: Config,
  skeleton: Skeleton,
  mesh: Mesh,
  cameras: Sequence[Camera] = (),
  *,
  resident: bool = True,
  fps: float = 0.0,
) -> Callable:
  """Builds the compiled function that takes the steps of a chunk.

  Args:
    cameras: The cameras of the training poses, for virtual ones.
    resident: Whether every device has all poses, or only its own.
    fps: The frame rate of the poses, for networks that see time.

  Returns:
    A function (state, arrays, order `[D, S, B / D]`) -> (state, losses `[S]`)
    for D devices and S steps. The arrays are those of N poses, `[N, ...]` if
    resident, otherwise `[D, N, ...]`. The given state is donated. For R seeds,
    R > 1, the states are `[R, ...]`, the arrays `[N, ...]` or `[D, R, N, ...]`,
    the order is `[D, R, S, B / D]`, and the losses are `[R, S]`.
  """
  training, task = config.training, make_task(config, skeleton)
  step_fn = _make_step(task, cameras, fps)

  def train_chunk(state, arrays, order):
    def step(packed, rows):
      return step_fn(packed, task.take(arrays, rows, fps))

    packed, unpack = state, lambda packed: packed
    if not task.is_large:
      packed, unpack = pack_state(state)
    with matmul_precision(training.precision):
      if task.is_large and len(order) <= 4:
        # On a CPU, XLA is slow at gradients of convolutions within loops, and
        # even a scan over one step is a loop.
        losses = []
        for rows in order:
          packed, value = step(packed, rows)
          losses.append(value)
        losses = jnp.stack(losses)
      else:
        packed, losses = jax.lax.scan(step, packed, order)
    return unpack(packed), losses

  if training.num_seeds > 1:
    train_chunk = jax.vmap(train_chunk, (0, None if resident else 0, 0))
  return jax.pmap(
    train_chunk,
    axis_name=AXIS,
    in_axes=(None, None if resident else 0, 0),
    out_axes=None,
    devices=list(mesh.devices) if jax.process_count() == 1 else None,
    donate_argnums=0,
  )


def chunk_bounds(steps: int, chunk_steps: int) -> np.ndarray:
  """Splits the steps of an epoch into chunks of at most two lengths.

  Returns:
    The end of each chunk.
  """
  chunks = -(-steps // chunk_steps)
  return np.cumsum([len(c) for c in np.array_split(np.arange(steps), chunks)])


def make_epoch_order(
  num_poses: int,
  batch_size: int,
  bounds: np.ndarray,
  mesh: Mesh,
  weights: np.ndarray | None = None,
) -> Callable:
  """Builds the compiled function that shuffles an epoch on the devices.

  Args:
    num_poses: The number of training poses.
    batch_size: The number of poses per step, over all devices.
    bounds: The chunks of an epoch, see `chunk_bounds`.
    weights: How often to draw each pose, relative to others, `[N]`; None takes
      each as often.

  Returns:
    A function (rng, epoch) -> a list with the rows of each chunk,
    `[D, S, B / D]` for the D devices of this process; for R rngs,
    `[D, R, S, B / D]`. The batches do not depend on the number of devices.
  """
  devices, steps = mesh.size * jax.process_count(), int(bounds[-1])
  passes = max(1, -(-steps * batch_size // num_poses))
  shares = None if weights is None else jnp.asarray(weights / weights.sum())
  first = mesh.size * jax.process_index()

  @functools.partial(
    jax.jit, out_shardings=NamedSharding(mesh, PartitionSpec(AXIS))
  )
  def epoch_order(rng, epoch):
    def shuffle(rng):
      rng = jax.random.fold_in(jax.random.fold_in(rng, SHUFFLE), epoch)
      count = steps * batch_size
      if shares is not None:
        order = jax.random.choice(rng, num_poses, (count,), p=shares)
      else:
        rngs = [jax.random.fold_in(rng, n) for n in range(1, passes)]
        order = jnp.concatenate(
          [jax.random.permutation(r, num_poses) for r in (rng, *rngs)]
        )
      order = order[:count].reshape(steps, devices, -1)
      return order.swapaxes(0, 1)[first : first + mesh.size]

    order = jax.vmap(shuffle, out_axes=1)(rng) if rng.ndim > 1 else shuffle(rng)
    return jnp.split(order, bounds[:-1], axis=-2)

  return epoch_order
