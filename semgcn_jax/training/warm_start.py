"""Starts a run with the weights of another: to refine them, or to go on."""

import logging
import pathlib
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import OF_TIME, Config
from semgcn_jax.config.presets import MODEL_FIELDS
from semgcn_jax.errors import SettingError, UserError, shortened
from semgcn_jax.files import read_arrays
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.image_network import FINDING
from semgcn_jax.runs.checkpoints import Network, restore_network
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
  _check_source(network, config, skeleton)
  parts = _choose_parts(network, config)
  return _replace(state, config, parts, network.config.training.num_seeds)


def _check_source(network: Network, config: Config, skeleton: Skeleton) -> None:
  """Raises a SettingError if a run cannot start with this network."""
  source = config.model.init_from
  wanted, there = config.flat(), network.config.flat()
  if there['refine']:
    raise SettingError(
      f'`init_from={source}`: is refined already; name the run that it started'
      ' from'
    )
  if config.model.backbone and not there['backbone']:
    raise SettingError(
      f'`init_from={source}`: takes keypoints, not pictures; name a run of'
      f' `backbone={config.model.backbone}`'
    )
  same = (*MODEL_FIELDS, 'image_aligned')
  if config.model.backbone:
    # The graph network may be another one, which then starts afresh.
    same = ('backbone',)
  if config.model.is_temporal:
    # Beside a network of single frames, its layers between frames are new.
    if there['model'] == 'semgcn':
      same = tuple(name for name in same if name != 'model')
    if network.config.model.is_temporal:
      same += OF_TIME
    # One that looks back alone has the weights of one that looks both ways.
    if not config.model.refine:
      same = tuple(name for name in same if name != 'causal')
  for name in same:
    if wanted[name] != there[name]:
      raise SettingError(
        f'`{name}={wanted[name]}`: `init_from={source}` has {there[name]}'
      )
  if network.skeleton != skeleton:
    raise SettingError(f'`init_from={source}`: has another skeleton')
  num_seeds = config.training.num_seeds
  if there['num_seeds'] not in (1, num_seeds):
    raise SettingError(
      f'`num_seeds={num_seeds}`: `init_from={source}` has'
      f' {there["num_seeds"]}; use as many, or a run of one'
    )


def _choose_parts(
  network: Network, config: Config
) -> dict[str, dict[str, Any]]:
  """Chooses what a run takes of another, and notes it where it may differ.

  Returns:
    {the name of a part of the new network: its params and batch_stats}.
  """
  variables = network.variables
  if config.model.refine:
    return {'lifter': variables}
  names = [*variables['params']]
  if config.model.backbone:
    names = [*FINDING]
    wanted, there = config.flat(), network.config.flat()
    own = (*MODEL_FIELDS, 'pooled_features')
    other = [name for name in own if wanted[name] != there[name]]
    if network.config.only_2d:
      what = 'the backbone and the 2D head, as it has trained no more'
    elif other:
      what = (
        'the backbone and the 2D head alone, as its graph network has'
        f' {other[0]}={there[other[0]]}'
      )
    else:
      names += ['graph']
      what = 'the backbone, the 2D head and the graph network'
    if wanted['crop_size'] != there['crop_size']:
      what += f'; its pictures had crop_size={there["crop_size"]}'
    logging.getLogger('semgcn_jax').warning(
      'from %s come %s', config.model.init_from, what
    )
  return {name: _part(variables, name) for name in names}


def _part(variables: dict[str, Any], part: str) -> dict[str, Any]:
  """Takes a part of a network out of its params and batch_stats."""
  return {name: tree.get(part, {}) for name, tree in variables.items()}


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
    _part(state.variables, 'backbone'), sep='/'
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
