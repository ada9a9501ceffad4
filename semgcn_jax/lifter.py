"""The weights that a run with --refine starts with, of another run."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from semgcn_jax import checkpoints
from semgcn_jax import config as config_lib
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError
from semgcn_jax.skeleton import Skeleton


def load_lifter(state: Any, config: Config, skeleton: Skeleton) -> Any:
  """Puts the best weights of the run --lifter into a fresh state.

  Args:
    state: a `train_step.TrainState` of `models.pose_grammar.Refined`.
    config: of the new run.
    skeleton: of its poses.

  Returns:
    The state; each seed starts with that of the lifter, or all with its only
    one.

  Raises:
    UserError: there is no such run or checkpoint, or it is damaged.
    FlagError: it is of another model, or of another number of seeds.
  """
  workdir = pathlib.Path(config.lifter)
  own, theirs, variables, _ = checkpoints.restore_network(workdir)
  if own.refine:
    raise FlagError(f'--lifter={workdir}: is refined already; name its lifter')
  for name in (*config_lib.MODEL_FIELDS, 'image_aligned'):
    wanted, there = getattr(config, name), getattr(own, name)
    if wanted != there:
      raise FlagError(f'--{name}={wanted}: --lifter={workdir} has {there}')
  if theirs != skeleton:
    raise FlagError(f'--lifter={workdir}: has another skeleton')
  if own.num_seeds not in (1, config.num_seeds):
    raise FlagError(
      f'--num_seeds={config.num_seeds}: --lifter={workdir} has'
      f' {own.num_seeds}; use as many, or a lifter of one'
    )
  if own.num_seeds < config.num_seeds:
    variables = jax.tree.map(
      lambda x: jnp.broadcast_to(x, (config.num_seeds, *x.shape)), variables
    )

  def with_lifter(tree):
    return {
      name: part | {'lifter': jax.tree.map(jnp.copy, variables[name])}
      for name, part in tree.items()
    }

  averaged = state.averaged
  return state.replace(
    **with_lifter(state.variables),
    averaged=None if averaged is None else with_lifter(averaged),
  )
