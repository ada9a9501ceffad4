"""The state of training: created, and packed for the step."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.training import train_state

from semgcn_jax.config import Config
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.build import build, example_input
from semgcn_jax.tasks import make_task
from semgcn_jax.training.optimizers import make_optimizer
from semgcn_jax.training.packing import map_like, packing

AXIS = 'batch'  # The name of the pmap axis of the devices.


class TrainState(train_state.TrainState):
  """Flax's TrainState with batch statistics, averages and a random key.

  Attributes:
    batch_stats: The running statistics.
    rng: The random key, `[2]` uint32. It never changes; all other keys are
      derived with `fold_in`.
    averaged: The params and batch_stats averaged over the steps, or None.
  """

  batch_stats: Any
  rng: jax.Array
  averaged: Any = None

  @property
  def variables(self) -> dict[str, Any]:
    """The params and batch_stats, for a linen module."""
    return {'params': self.params, 'batch_stats': self.batch_stats}

  @property
  def num_steps(self) -> int:
    """The number of steps done, the same for every seed."""
    return int(jnp.ravel(self.step)[0])

  @property
  def scored(self) -> dict[str, Any]:
    """The variables to evaluate: the averaged ones, if any."""
    return self.variables if self.averaged is None else self.averaged


def create_train_state(
  config: Config, skeleton: Skeleton, epoch_steps: int = 1
) -> TrainState:
  """Creates the state at step 0, with the states of several seeds stacked.

  It is on the host, which compiles this faster than a GPU does.

  Args:
    epoch_steps: The number of steps per epoch.
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
  tx = make_optimizer(make_task(config, skeleton), epoch_steps)

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
  """Returns the CPU device, or None, for the default, if there is none."""
  try:
    return jax.local_devices(backend='cpu')[0]
  except RuntimeError:  # JAX_PLATFORMS may leave the CPU out.
    return None


def pack_state(
  state: TrainState,
) -> tuple[TrainState, Callable[[TrainState], TrainState]]:
  """Packs the small arrays of a state into a few long vectors.

  Returns:
    The packed state, which `step.train_step` also takes, and the function that
    unpacks one.
  """
  packs, unpacks = {}, {}
  for name, tree in state.variables.items():
    packs[name], unpacks[name] = packing(tree)

  def convert(state, functions, like, apply_fn):
    averaged = state.averaged
    return state.replace(
      apply_fn=apply_fn,
      opt_state=map_like(functions['params'], state.opt_state, like),
      averaged=None if averaged is None else _map(functions, averaged),
      **_map(functions, state.variables),
    )

  def apply_packed(variables, *args, **kwargs):
    variables = _map(unpacks, variables)
    outputs, updated = state.apply_fn(variables, *args, **kwargs)
    return outputs, _map(packs, updated)

  packed = convert(state, packs, state.params, apply_packed)
  return packed, lambda packed: convert(
    packed, unpacks, packed.params, state.apply_fn
  )


def _map(functions: dict[str, Any], trees: Mapping[str, Any]) -> dict[str, Any]:
  """Applies to each tree the function of its name."""
  return {name: functions[name](tree) for name, tree in trees.items()}
