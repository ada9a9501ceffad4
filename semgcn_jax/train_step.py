"""The training step: its state, one step, compiled chunks of many."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semgcn_jax import models
from semgcn_jax.augment import Batch, augment, make_lenses
from semgcn_jax.cameras import Camera
from semgcn_jax.config import Config
from semgcn_jax.errors import choose
from semgcn_jax.losses import LOSSES, pose_loss
from semgcn_jax.optimizers import make_optimizer
from semgcn_jax.packing import map_like, packing
from semgcn_jax.skeleton import Skeleton

AXIS = 'batch'  # The pmap axis of the devices.
DROPOUT, SHUFFLE, AUGMENT = range(3)  # What a key is for.
AVERAGING_POSES = 256  # That the decay of --averaging is for.


class TrainState(train_state.TrainState):
  """Params, optimizer and step, with batch statistics and a random key.

  Attributes:
    batch_stats: running statistics.
    rng: `[2]` uint32; never changes, all randomness is folded in from it.
    averaged: params and batch_stats, averaged over the steps; None without
      averaging.
  """

  batch_stats: Any
  rng: jax.Array
  averaged: Any = None

  @property
  def variables(self) -> dict[str, Any]:
    return {'params': self.params, 'batch_stats': self.batch_stats}

  @property
  def num_steps(self) -> int:
    """Steps done, of every seed."""
    return int(self.step.ravel()[0])

  @property
  def scored(self) -> dict[str, Any]:
    """The variables to evaluate."""
    return self.variables if self.averaged is None else self.averaged


def create_train_state(
  config: Config, skeleton: Skeleton, epoch_steps: int = 1
) -> TrainState:
  """A fresh state; step is 0.

  Args:
    config: of the run.
    skeleton: of the poses.
    epoch_steps: steps of an epoch.

  Returns:
    The state, on the host, which compiles this sooner than a GPU; with several
    seeds, the states of all, stacked.
  """
  model = models.build(
    config,
    skeleton,
    axis_name=AXIS,
    dtype=jnp.bfloat16 if config.precision == 'bfloat16' else None,
  )
  example = jnp.zeros((1, skeleton.num_joints, 2))
  tx = make_optimizer(config, epoch_steps)

  def create(seed):
    rng, init_rng = jax.random.split(jax.random.PRNGKey(seed))
    variables = model.init(init_rng, example)
    averaged = jax.tree.map(jnp.copy, dict(variables))
    return TrainState.create(
      apply_fn=model.apply,
      params=variables['params'],
      batch_stats=variables['batch_stats'],
      rng=rng,
      tx=tx,
      averaged=averaged if config.averaging else None,
    ).replace(step=jnp.int32(0))

  with jax.default_device(_host()):
    if config.num_seeds == 1:
      return jax.jit(create)(config.seed)
    return jax.jit(jax.vmap(create))(np.array(config.seeds))


def _host() -> jax.Device | None:
  """The CPU as a device; None, which is the default device, without one."""
  try:
    return jax.local_devices(backend='cpu')[0]
  except RuntimeError:  # JAX_PLATFORMS leaves it out.
    return None


def matmul_precision(precision: str) -> contextlib.AbstractContextManager:
  """The context for a value of `--precision`."""
  return jax.default_matmul_precision(
    'highest' if precision == 'highest' else 'default'
  )


def train_step(
  state: TrainState,
  batch: Batch,
  *,
  augment_fn: Callable[[jax.Array, Batch], Batch],
  loss: Callable[[jax.Array, jax.Array], jax.Array],
  decay: float,
) -> tuple[TrainState, jax.Array]:
  """One step; runs under pmap over `AXIS`.

  Args:
    state: the same on every device.
    batch: this device's share, see `augment`.
    augment_fn: of a key and the batch.
    loss: of predictions and targets `[B, J, 3]`.
    decay: of the averaged variables, per step.

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
      batch['inputs'],
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key(DROPOUT)},
    )
    return loss(predicted, batch['targets']), updated['batch_stats']

  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  (value, batch_stats), grads = grad_fn(state.params)
  value, grads = jax.lax.pmean((value, grads), AXIS)
  new = state.apply_gradients(grads=grads, batch_stats=batch_stats)
  if state.averaged is not None:
    # The decay is min(decay, (1 + t) / (10 + t)), so that the start is forgot.
    share = jnp.maximum(1 - decay, 9 / (10.0 + state.step))
    new = new.replace(
      averaged=optax.incremental_update(new.variables, state.averaged, share)
    )
  return new, value


def pack_state(
  state: TrainState,
) -> tuple[TrainState, Callable[[TrainState], TrainState]]:
  """The state with a few long vectors for all its small arrays.

  Returns:
    The packed state, which `train_step` takes like any other, and what
    unpacks such a state.
  """
  pack_params, unpack_params = packing(state.params)
  pack_stats, unpack_stats = packing(state.batch_stats)

  def convert(state, params_fn, stats_fn, like, apply_fn):
    def variables_fn(variables):
      return {
        'params': params_fn(variables['params']),
        'batch_stats': stats_fn(variables['batch_stats']),
      }

    averaged = state.averaged
    return state.replace(
      apply_fn=apply_fn,
      opt_state=map_like(params_fn, state.opt_state, like),
      averaged=None if averaged is None else variables_fn(averaged),
      **variables_fn(state.variables),
    )

  def apply_packed(variables, *args, **kwargs):
    variables = {
      'params': unpack_params(variables['params']),
      'batch_stats': unpack_stats(variables['batch_stats']),
    }
    outputs, updated = state.apply_fn(variables, *args, **kwargs)
    return outputs, {'batch_stats': pack_stats(updated['batch_stats'])}

  packed = convert(state, pack_params, pack_stats, state.params, apply_packed)

  def unpack(packed):
    return convert(
      packed, unpack_params, unpack_stats, packed.params, state.apply_fn
    )

  return packed, unpack


def make_train_chunk(
  config: Config,
  skeleton: Skeleton,
  mesh: Mesh,
  cameras: Sequence[Camera] = (),
  *,
  resident: bool = True,
) -> Callable:
  """The compiled function of many steps.

  Args:
    config: of the run.
    skeleton: of the poses.
    mesh: the devices of this process.
    cameras: of the training poses, for virtual cameras.
    resident: the arrays are the same for all devices, not theirs alone.

  Returns:
    (state, arrays, order `[D, S, B / D]`) -> (state, losses `[S]`) for D
    devices and S steps. The arrays are those of a batch, of N poses `[N, ...]`,
    not resident `[D, N, ...]`; the given state is donated. With R > 1 seeds it
    is of `[R, ...]` states, arrays `[N, ...]` or `[D, R, N, ...]`, order
    `[D, R, S, B / D]`, losses `[R, S]`.
  """
  measure, bones = choose('loss', config.loss, LOSSES)
  loss = functools.partial(
    pose_loss,
    measure=measure,
    bones=bones,
    skeleton=skeleton,
    num_predicted=models.build(config, skeleton).num_predicted,
  )
  step_fn = functools.partial(
    train_step,
    augment_fn=functools.partial(
      augment,
      config=config,
      skeleton=skeleton,
      lenses=make_lenses(cameras) if config.virtual_cameras else None,
    ),
    loss=loss,
    # The same poses count, whatever the batch size.
    decay=config.averaging ** (config.batch_size / AVERAGING_POSES),
  )

  def train_chunk(state, arrays, order):
    def step(packed, rows):
      return step_fn(packed, {k: array[rows] for k, array in arrays.items()})

    packed, unpack = pack_state(state)
    with matmul_precision(config.precision):
      packed, losses = jax.lax.scan(step, packed, order)
    return unpack(packed), losses

  if config.num_seeds > 1:
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
  """Ends of about equal chunks, so that at most two lengths are compiled."""
  chunks = -(-steps // chunk_steps)
  return np.cumsum([len(c) for c in np.array_split(np.arange(steps), chunks)])


def make_epoch_order(
  num_poses: int, batch_size: int, bounds: np.ndarray, mesh: Mesh
) -> Callable:
  """The compiled shuffle of an epoch, on the devices.

  Returns:
    (rng, epoch) -> for each chunk the rows `[D, S, B / D]` of its batches, or
    of R rngs `[D, R, S, B / D]`, for the devices of this process. The batches
    do not depend on the number of devices.
  """
  devices, steps = mesh.size * jax.process_count(), int(bounds[-1])
  first = mesh.size * jax.process_index()

  @functools.partial(
    jax.jit, out_shardings=NamedSharding(mesh, PartitionSpec(AXIS))
  )
  def epoch_order(rng, epoch):
    def shuffle(rng):
      rng = jax.random.fold_in(jax.random.fold_in(rng, SHUFFLE), epoch)
      order = jax.random.permutation(rng, num_poses)
      order = order[: steps * batch_size].reshape(steps, devices, -1)
      return order.swapaxes(0, 1)[first : first + mesh.size]

    order = jax.vmap(shuffle, out_axes=1)(rng) if rng.ndim > 1 else shuffle(rng)
    return jnp.split(order, bounds[:-1], axis=-2)

  return epoch_order
