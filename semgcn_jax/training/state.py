"""The state of training: made afresh, and packed for the step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.training import train_state

from semgcn_jax.config import Config
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.build import build, example_input
from semgcn_jax.training.optimizers import make_optimizer
from semgcn_jax.training.packing import map_like, packing

AXIS = 'batch'  # The name of the pmap axis of the devices.


class TrainState(train_state.TrainState):
  """The params, optimizer and step, with batch statistics and a random key.

  Attributes:
    batch_stats: The running statistics.
    rng: The random key, `[2]` uint32. It never changes: all other keys are made
      of it by folding numbers in.
    averaged: The params and batch_stats, averaged over the steps; None without
      averaging.
  """

  batch_stats: Any
  rng: jax.Array
  averaged: Any = None

  @property
  def variables(self) -> dict[str, Any]:
    """The params and batch_stats, as a linen module takes them."""
    return {'params': self.params, 'batch_stats': self.batch_stats}

  @property
  def num_steps(self) -> int:
    """The number of steps done, the same for every seed."""
    return int(jnp.ravel(self.step)[0])

  @property
  def scored(self) -> dict[str, Any]:
    """The variables to evaluate: the averaged ones, where there are some."""
    return self.variables if self.averaged is None else self.averaged


def create_train_state(
  config: Config, skeleton: Skeleton, epoch_steps: int = 1
) -> TrainState:
  """Makes a fresh state, at step 0.

  Args:
    config: The config of the run.
    skeleton: The skeleton of the poses.
    epoch_steps: The number of steps of an epoch.

  Returns:
    The state. It is on the host, which compiles this sooner than a GPU. The
    states of several seeds are stacked.
  """
  training = config.training
  model = build(
    config.model,
    skeleton,
    axis_name=AXIS,
    dtype=jnp.bfloat16 if training.precision == 'bfloat16' else None,
    stage=training.stage,
    backbone_precision=config.model.backbone_precision,
  )
  example = example_input(config.model, skeleton)
  example = jnp.zeros(example.shape, example.dtype)
  tx = make_optimizer(training, epoch_steps, backbone=config.model.backbone)

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
      averaged=averaged if training.averaging else None,
    ).replace(step=jnp.int32(0))

  with jax.default_device(_host()):
    if training.num_seeds == 1:
      return jax.jit(create)(training.seed)
    return jax.jit(jax.vmap(create))(np.array(training.seeds))


def _host() -> Any:
  """Finds the CPU as a device; None, for the default one, if there is none."""
  try:
    return jax.local_devices(backend='cpu')[0]
  except RuntimeError:  # JAX_PLATFORMS may leave the CPU out.
    return None


def pack_state(
  state: TrainState,
) -> tuple[TrainState, Callable[[TrainState], TrainState]]:
  """Packs the small arrays of a state into a few long vectors.

  Returns:
    The packed state, which `step.train_step` takes like any other, and the
    function that unpacks such a state.
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
