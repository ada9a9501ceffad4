"""Starts a run with the weights of another: to refine them, or to go on."""

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
from semgcn_jax.runs.checkpoints import Network, restore_network
from semgcn_jax.tasks import Frames, make_task
from semgcn_jax.tasks.frames import take_part
from semgcn_jax.training.state import TrainState


def warm_start(
  state: TrainState, config: Config, skeleton: Skeleton
) -> TrainState:
  """Puts the weights that the config names into a fresh state.

  Those of `init_from` are the best of that run. With `backbone` they are of the
  parts that it has trained, see `stage`; the graph network starts afresh unless
  it is shown the same as there. A network that sees time may start with one of
  single frames, and a causal one with one that is not. `backbone_weights` are
  of the backbone alone.

  Args:
    state: A state of the same model, or of a refinement of it.
    config: The config of the new run.
    skeleton: The skeleton of its poses.

  Returns:
    The state. Each seed starts with the same seed of the other run, or all with
    its only one.

  Raises:
    UserError: There is no such run, checkpoint or file, or it is damaged.
    SettingError: It is of another model, or of another number of seeds.
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
  """Raises a SettingError if a run cannot start with this network."""
  source = config.model.init_from
  wanted, there = config.flat(), network.config.flat()
  if there['refine']:
    raise SettingError(
      f'`init_from={source}`: is refined already; name the run that it started'
      ' from'
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
      f' {there["num_seeds"]}; use as many, or a run of one'
    )


def _replace(
  state: TrainState,
  config: Config,
  parts: dict[str, dict[str, Any]],
  seeds: int = 1,
) -> TrainState:
  """Replaces parts of a network, in its own and in its averaged variables.

  Args:
    state: The state.
    config: The config of the run.
    parts: {the name of a part: its params and batch_stats}.
    seeds: How many seeds they are of.
  """
  count = config.training.num_seeds
  if seeds < count:
    parts = jax.tree.map(
      lambda x: jnp.broadcast_to(x, (count, *x.shape)), parts
    )

  def started(tree):
    # Each tree gets arrays of its own, as the step donates them.
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
  """Reads the weights of a backbone from the npz of convert_torch.py.

  Raises:
    UserError: It cannot be read, or is of another backbone.
  """
  wanted: dict[str, Any] = flax.traverse_util.flatten_dict(
    take_part(state.variables, 'backbone'), sep='/'
  )
  try:
    arrays = read_arrays(path)
  except (OSError, ValueError) as error:
    raise UserError(
      f'`backbone_weights={path}`: cannot be read ({shortened(error, 100)});'
      ' make it by convert_torch.py'
    ) from error
  for name, array in wanted.items():
    shape = array.shape[-arrays[name].ndim :] if name in arrays else None
    if shape is None or arrays[name].shape != shape:
      raise UserError(
        f'`backbone_weights={path}`: is of another `backbone` ({name}); make it'
        ' by convert_torch.py'
      )
  return flax.traverse_util.unflatten_dict(
    {name: _check_weights(name, arrays[name], path) for name in wanted},
    sep='/',
  )


def _check_weights(
  name: str, array: np.ndarray, path: pathlib.Path
) -> np.ndarray:
  """Checks the numbers of weights, and makes them float32.

  Raises:
    UserError: They are no floating-point numbers, not finite, or variances
      below zero.
  """
  problem = ''
  if array.dtype.kind != 'f':
    problem = f'is of {array.dtype}'
  else:
    with np.errstate(over='ignore'):
      array = array.astype(np.float32)
    if not np.isfinite(array).all():
      problem = 'is not finite'
    elif name.endswith('/var') and (array < 0).any():
      problem = 'is below zero'
  if problem:
    raise UserError(
      f'`backbone_weights={path}`: {name} {problem}; make it by'
      ' convert_torch.py'
    )
  return array
