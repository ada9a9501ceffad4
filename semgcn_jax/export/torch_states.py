"""Converts the contents of checkpoints from and to the released code's."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax
from flax import traverse_util

from semgcn_jax.config import ModelConfig
from semgcn_jax.errors import UserError
from semgcn_jax.export.torch_names import entries
from semgcn_jax.runs.progress import Progress
from semgcn_jax.training.state import TrainState


def to_variables(
  state_dict: Mapping[str, np.ndarray],
  config: ModelConfig,
  template: Mapping[str, Any],
) -> dict[str, Any]:
  """Converts a state_dict to params and batch_stats.

  Args:
    state_dict: {key: array}, as published; `num_batches_tracked` is optional.
    config: The model.
    template: Variables of the model, for their shapes.

  Returns:
    The variables, {'params': ..., 'batch_stats': ...}.

  Raises:
    UserError: Tensors are missing, extra, misshapen or invalid; the message
      lists them all.
  """
  shapes: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(template)
  wanted = {
    entry.torch: entry.torch_shape(shapes[entry.path].shape)
    for entry in entries(config)
  }
  problems = [f'{key} is missing' for key in wanted if key not in state_dict]
  problems += [
    f'{key!r:.80} is extra'
    for key in state_dict
    if key not in wanted and not key.endswith('.num_batches_tracked')
  ]
  for key, shape in wanted.items():
    if key not in state_dict:
      continue
    array = state_dict[key]
    if array.shape != shape:
      problems.append(f'{key} has shape {array.shape}, not {shape}')
    elif array.dtype != np.float32:
      problems.append(f'{key} is of type {array.dtype}, not float32')
    elif not np.isfinite(array).all() or (
      key.endswith('.running_var') and (array < 0).any()
    ):
      problems.append(f'{key} holds impossible numbers')
  if problems:
    raise UserError(f'not a whole {config.model}: {"; ".join(problems)}')
  flat = {
    entry.path: entry.to_ours(state_dict[entry.torch])
    for entry in entries(config)
  }
  return traverse_util.unflatten_dict(flat)


def to_state_dict(
  variables: Mapping[str, Any], config: ModelConfig
) -> dict[str, np.ndarray]:
  """Converts params and batch_stats to a state_dict, in PyTorch's order."""
  flat = traverse_util.flatten_dict(variables)
  return {
    entry.torch: entry.to_torch(np.asarray(flat[entry.path]))
    for entry in entries(config)
  }


def import_checkpoint(
  checkpoint: Mapping[str, Any],
  model: ModelConfig,
  choose_on: str,
  state: TrainState,
) -> tuple[TrainState, Progress]:
  """Converts a published checkpoint to a state from which training can resume.

  Args:
    checkpoint: The result of `torch_files.read`.
    model: The model.
    choose_on: What the run chooses its best epoch on.
    state: A fresh state of the model.

  Returns:
    The state, with the checkpoint's params, batch_stats and step, and Adam's
    moments if there are any; and the progress of the run.

  Raises:
    UserError: The tensors or the optimizer do not fit the model, or a number
      is invalid; see `to_variables`.
  """
  variables = to_variables(checkpoint['state_dict'], model, state.variables)
  step = np.int32(number(checkpoint, 'step', 0, 2**31 - 2))
  changes: dict[Any, dict[str, Any]] = {
    optax.ScaleByScheduleState: {'count': step}
  }
  if checkpoint.get('optimizer'):
    changes[optax.ScaleByAdamState] = _adam_state(checkpoint, model)
  state = state.replace(
    step=step,
    params=variables['params'],
    batch_stats=variables['batch_stats'],
    averaged=None if state.averaged is None else variables,
    opt_state=jax.tree.map(
      lambda part: part._replace(**changes.get(type(part), {})),
      state.opt_state,
      is_leaf=lambda part: hasattr(part, '_replace'),
    ),
  )
  error = None
  if checkpoint.get('error') is not None:
    error = number(checkpoint, 'error', 0, 1e9)
  epoch = int(number(checkpoint, 'epoch', 0, 2**31 - 2))
  score = {'test': error, 'last': -epoch}.get(choose_on)
  return state, Progress(epoch=epoch, mpjpe=error, score=score)


def number(
  fields: Mapping[str, Any], name: str, low: float, high: float
) -> float:
  """Returns a field of a checkpoint that must be a number.

  Args:
    fields: The fields, {name: value}.
    name: The name of the field.
    low: The lowest valid value, and the default.
    high: The highest valid value.

  Raises:
    UserError: The field is not such a number.
  """
  value = fields.get(name, low)
  try:
    result = float(value)
  except (TypeError, ValueError, RuntimeError, OverflowError):
    result = float('nan')
  if isinstance(value, str | bytes) or not low <= result <= high:
    raise UserError(f'its {name} is {value!r:.40}, not a number from {low:g}')
  return result


def _adam_state(
  checkpoint: Mapping[str, Any], config: ModelConfig
) -> dict[str, Any]:
  """Converts Adam's moments to the fields of optax.ScaleByAdamState."""
  advice = 'remove the optimizer from the checkpoint to start with a new one'
  params = [entry for entry in entries(config) if entry.is_param]
  try:
    (group,) = checkpoint['optimizer']['param_groups']
    moments = checkpoint['optimizer']['state']
    # PyTorch numbers the parameters in the order of the state_dict.
    each = [moments[number] for number in group['params']]
    counts = {number(moment, 'step', 0, 2**31 - 2) for moment in each}
    flat = {
      name: {
        entry.path[1:]: entry.to_ours(moment[name])
        for entry, moment in zip(params, each, strict=True)
        if moment[name].shape == checkpoint['state_dict'][entry.torch].shape
        and moment[name].dtype == np.float32
        and np.isfinite(moment[name]).all()
      }
      for name in ('exp_avg', 'exp_avg_sq')
    }
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise UserError(
      f'its optimizer is not Adam over the {len(params)} parameters; {advice}'
    ) from error
  if len(counts) != 1 or {len(params)} != {len(tree) for tree in flat.values()}:
    raise UserError(
      f"its optimizer's moments do not fit the parameters; {advice}"
    )
  return {
    'count': np.int32(counts.pop()),
    'mu': traverse_util.unflatten_dict(flat['exp_avg']),
    'nu': traverse_util.unflatten_dict(flat['exp_avg_sq']),
  }


def export_checkpoint(
  state: TrainState, progress: Progress, config: ModelConfig, lr: float
) -> dict[str, Any]:
  """Converts a state to a published checkpoint.

  Args:
    state: The state; averaged variables are used if there are any.
    progress: The progress of the run.
    config: The model.
    lr: The learning rate of the last step.

  Returns:
    The checkpoint, with NumPy arrays in place of tensors.
  """
  step = int(state.step)
  state_dict = {}
  for key, array in to_state_dict(state.scored, config).items():
    state_dict[key] = array
    if key.endswith('.running_var'):
      tracked = key.replace('running_var', 'num_batches_tracked')
      state_dict[tracked] = np.int64(step)
  parts = jax.tree.leaves(state.opt_state, is_leaf=_is_adam)
  (adam,) = filter(_is_adam, parts)
  mu, nu = (traverse_util.flatten_dict(tree) for tree in (adam.mu, adam.nu))
  params = [entry for entry in entries(config) if entry.is_param]
  return {
    'epoch': progress.epoch,
    'lr': lr,
    'step': step,
    'state_dict': state_dict,
    'optimizer': {
      'state': {
        number: {
          'step': np.float32(adam.count),
          'exp_avg': entry.to_torch(np.asarray(mu[entry.path[1:]])),
          'exp_avg_sq': entry.to_torch(np.asarray(nu[entry.path[1:]])),
        }
        for number, entry in enumerate(params)
      },
      'param_groups': [{'params': list(range(len(params)))}],
    },
    'error': progress.mpjpe,
  }


def _is_adam(part: Any) -> bool:
  return isinstance(part, optax.ScaleByAdamState)
