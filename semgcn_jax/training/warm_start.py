"""Starts a run from the weights of another, to refine or continue it."""

import pathlib
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.errors import SettingError, UserError, shortened
from semgcn_jax.files import read_arrays
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.runs.networks import Network, restore_network
from semgcn_jax.tasks import Frames, make_task
from semgcn_jax.tasks.frames import take_part
from semgcn_jax.training.state import TrainState


def warm_start(
  state: TrainState, config: Config, skeleton: Skeleton
) -> TrainState:
  """Puts the weights that the config names into a fresh state.

  `init_from` gives the best weights of a run. With `backbone` these are the
  parts that it has trained, see `stage`; the graph network starts fresh unless
  its inputs are the same. A network that sees time can start from one of single
  frames, and a causal one from one that is not. `backbone_weights` are those of
  the backbone only.

  Args:
    state: A fresh state of the new run.

  Returns:
    The state. Each seed starts from the same seed of the other run, or all from
    its only one.

  Raises:
    UserError: There is no such run, checkpoint or file, or it is damaged.
    SettingError: The model or the number of seeds does not match.
  """
  if config.model.backbone_weights:
    path = pathlib.Path(config.model.backbone_weights)
    return _replace(state, config, {'backbone': _read_backbone(path, state)})
  if not config.model.init_from:
    return state
  network = restore_network(config.model.init_from)
  task = make_task(config, skeleton)
  _check_source(network, config, task)
  parts = task.parts(network)
  return _replace(state, config, parts, network.config.training.num_seeds)


def _check_source(network: Network, config: Config, task: Frames) -> None:
  """Raises a SettingError if a run cannot start from this network."""
  source = config.model.init_from
  wanted, there = config.flat(), network.config.flat()
  if there['refine']:
    raise SettingError(
      f'`init_from={source}`: is already refined; name the run it started from'
    )
  for name in task.matching(network):
    if wanted[name] != there[name]:
      raise SettingError(
        f'`{name}={wanted[name]}`: `init_from={source}` has {there[name]}'
      )
  if network.skeleton != task.skeleton:
    raise SettingError(f'`init_from={source}`: has another skeleton')
  num_seeds = config.training.num_seeds
  if there['num_seeds'] not in (1, num_seeds):
    raise SettingError(
      f'`num_seeds={num_seeds}`: `init_from={source}` has'
      f' {there["num_seeds"]}; use the same number, or a run with one'
    )


def _replace(
  state: TrainState,
  config: Config,
  parts: dict[str, dict[str, Any]],
  seeds: int = 1,
) -> TrainState:
  """Replaces parts of a network, in its variables and their averages.

  Args:
    parts: {the name of a part: its params and batch_stats}.
    seeds: The number of seeds of the parts.
  """
  count = config.training.num_seeds
  if seeds < count:
    parts = jax.tree.map(
      lambda x: jnp.broadcast_to(x, (count, *x.shape)), parts
    )

  def started(tree):
    # Copies, since the step donates the arrays of each tree.
    return {
      name: of_part
      | {
        part: jax.tree.map(jnp.copy, trees[name])
        for part, trees in parts.items()
        if part in of_part
      }
      for name, of_part in tree.items()
    }

  averaged = state.averaged
  return state.replace(
    **started(state.variables),
    averaged=None if averaged is None else started(averaged),
  )


def _read_backbone(path: pathlib.Path, state: TrainState) -> dict[str, Any]:
  """Reads the weights of a backbone from the npz of convert_torch.py."""

  def error(problem):
    return UserError(
      f'`backbone_weights={path}`: {problem}; make it with convert_torch.py'
    )

  wanted: dict[str, Any] = flax.traverse_util.flatten_dict(
    take_part(state.variables, 'backbone'), sep='/'
  )
  try:
    arrays = read_arrays(path)
  except (OSError, ValueError) as cause:
    raise error(f'cannot be read ({shortened(cause, 100)})') from cause
  weights = {}
  for name, like in wanted.items():
    array = arrays.get(name)
    # The state may have several seeds.
    if array is None or array.shape != like.shape[-array.ndim :]:
      raise error(f'is for another `backbone` ({name})')
    weights[name] = array
  for name, array in weights.items():
    if array.dtype.kind != 'f':
      raise error(f'{name} is {array.dtype}')
    with np.errstate(over='ignore'):
      weights[name] = array = array.astype(np.float32)
    if not np.isfinite(array).all():
      raise error(f'{name} is not finite')
    if name.endswith('/var') and (array < 0).any():
      raise error(f'{name} is below zero')
  return flax.traverse_util.unflatten_dict(weights, sep='/')
