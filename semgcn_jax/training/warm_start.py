"""Starts a run with the weights of another: to refine them, or to go on."""

import jax
import jax.numpy as jnp

from semgcn_jax.config import Config
from semgcn_jax.errors import SettingError
from semgcn_jax.presets import MODEL_FIELDS
from semgcn_jax.runs.checkpoints import restore_network
from semgcn_jax.skeleton import Skeleton
from semgcn_jax.training.state import TrainState


def warm_start(
  state: TrainState, config: Config, skeleton: Skeleton
) -> TrainState:
  """Puts the best weights of the run `init_from` into a fresh state.

  Args:
    state: A state of the same model, or of a refinement of it.
    config: The config of the new run.
    skeleton: The skeleton of its poses.

  Returns:
    The state. Each seed starts with the same seed of the other run, or all with
    its only one.

  Raises:
    UserError: There is no such run or checkpoint, or it is damaged.
    SettingError: It is of another model, or of another number of seeds.
  """
  workdir = config.model.init_from
  network = restore_network(workdir)
  if network.config.model.refine:
    raise SettingError(
      f'`init_from={workdir}`: is refined already; name the run that it started'
      ' from'
    )
  wanted, there = config.flat(), network.config.flat()
  for name in (*MODEL_FIELDS, 'image_aligned'):
    if wanted[name] != there[name]:
      raise SettingError(
        f'`{name}={wanted[name]}`: `init_from={workdir}` has {there[name]}'
      )
  if network.skeleton != skeleton:
    raise SettingError(f'`init_from={workdir}`: has another skeleton')
  num_seeds = config.training.num_seeds
  if there['num_seeds'] not in (1, num_seeds):
    raise SettingError(
      f'`num_seeds={num_seeds}`: `init_from={workdir}` has'
      f' {there["num_seeds"]}; use as many, or a run of one'
    )
  variables = network.variables
  if there['num_seeds'] < num_seeds:
    variables = jax.tree.map(
      lambda x: jnp.broadcast_to(x, (num_seeds, *x.shape)), variables
    )

  def started(tree):
    copied = jax.tree.map(jnp.copy, variables)
    if not config.model.refine:
      return copied
    return {
      name: part | {'lifter': copied[name]} for name, part in tree.items()
    }

  averaged = state.averaged
  return state.replace(
    **started(state.variables),
    averaged=None if averaged is None else started(averaged),
  )
