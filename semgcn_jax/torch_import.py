"""Checkpoints of the released PyTorch code: to our variables and back.

A published checkpoint is a dict of epoch, lr, step, optimizer, state_dict and
error, saved by `torch.save` in its legacy format. Importing this module does
not import torch: only reading and writing files does.
"""

import dataclasses
import os
import pathlib
import pickle
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import flax
import jax
import numpy as np
import optax

from semgcn_jax import checkpoints, data, models
from semgcn_jax import config as config_lib
from semgcn_jax.checkpoints import Progress
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError, UserError, choose, listed
from semgcn_jax.files import replacing
from semgcn_jax.optimizers import learning_rate
from semgcn_jax.skeleton import load_skeleton, save_skeleton
from semgcn_jax.torch_names import entries, infer_model
from semgcn_jax.train_step import TrainState, create_train_state


def to_variables(
  state_dict: Mapping[str, np.ndarray],
  config: Config,
  template: Mapping[str, Any],
) -> dict[str, Any]:
  """A state_dict as params and batch_stats.

  Args:
    state_dict: {key: array} as published; `num_batches_tracked` is not needed.
    config: its model fields.
    template: variables of that model, for the shapes.

  Raises:
    UserError: lists every missing, extra, misshapen and impossible tensor.
  """
  shapes = flax.traverse_util.flatten_dict(template)
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
  return flax.traverse_util.unflatten_dict(flat)


def to_state_dict(
  variables: Mapping[str, Any], config: Config
) -> dict[str, np.ndarray]:
  """The inverse of `to_variables`, in PyTorch's order."""
  flat = flax.traverse_util.flatten_dict(variables)
  return {
    entry.torch: entry.to_torch(np.asarray(flat[entry.path]))
    for entry in entries(config)
  }


def import_checkpoint(
  checkpoint: Mapping[str, Any], config: Config, state: TrainState
) -> tuple[TrainState, Progress]:
  """A published checkpoint as a state to train on.

  Args:
    checkpoint: as read by `read`.
    config: of the model.
    state: a fresh state of that model.

  Returns:
    The state with params, batch_stats and step, and where the checkpoint has
    them Adam's moments; and how far the run had come.

  Raises:
    UserError: see `to_variables`; or the optimizer does not fit.
  """
  variables = to_variables(checkpoint['state_dict'], config, state.variables)
  step = np.int32(_number(checkpoint, 'step', 0, 2**31 - 2))
  changes = {optax.ScaleByScheduleState: {'count': step}}
  if checkpoint.get('optimizer'):
    changes[optax.ScaleByAdamState] = _adam_state(checkpoint, config)
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
    error = _number(checkpoint, 'error', 0, 1e9)
  epoch = int(_number(checkpoint, 'epoch', 0, 2**31 - 2))
  score = {'test': error, 'last': -epoch}.get(config.choose_on)
  return state, Progress(epoch=epoch, mpjpe=error, score=score)


def _number(
  fields: Mapping[str, Any], name: str, low: float, high: float
) -> float:
  """A field that must be a number from low to high; low where it is missing."""
  value = fields.get(name, low)
  try:
    number = float(value)
  except (TypeError, ValueError, RuntimeError, OverflowError):
    number = None
  if isinstance(value, str | bytes) or not (
    number is not None and low <= number <= high
  ):
    raise UserError(f'its {name} is {value!r:.40}, not a number from {low:g}')
  return number


def _adam_state(
  checkpoint: Mapping[str, Any], config: Config
) -> dict[str, Any]:
  """count, mu and nu of optax.ScaleByAdamState."""
  advice = 'remove the optimizer from the checkpoint to start it afresh'
  params = [entry for entry in entries(config) if entry.is_param]
  try:
    (group,) = checkpoint['optimizer']['param_groups']
    moments = checkpoint['optimizer']['state']
    # PyTorch numbers the parameters in the order of the state_dict.
    each = [moments[number] for number in group['params']]
    counts = {_number(moment, 'step', 0, 2**31 - 2) for moment in each}
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
    'mu': flax.traverse_util.unflatten_dict(flat['exp_avg']),
    'nu': flax.traverse_util.unflatten_dict(flat['exp_avg_sq']),
  }


def export_checkpoint(
  state: TrainState, progress: Progress, config: Config, lr: float
) -> dict[str, Any]:
  """A state in the published structure, with NumPy arrays for tensors.

  Args:
    state: to export; its averaged variables, where there are some.
    progress: how far the run has come.
    config: of the run.
    lr: learning rate at the state's step.
  """
  step = int(state.step)
  state_dict = {}
  for key, array in to_state_dict(state.scored, config).items():
    state_dict[key] = array
    if key.endswith('.running_var'):
      tracked = key.replace('running_var', 'num_batches_tracked')
      state_dict[tracked] = np.int64(step)
  (adam,) = (
    part
    for part in jax.tree.leaves(state.opt_state, is_leaf=_is_adam)
    if _is_adam(part)
  )
  mu, nu = (
    flax.traverse_util.flatten_dict(tree) for tree in (adam.mu, adam.nu)
  )
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


def _torch():
  try:
    import torch
  except ImportError as error:
    raise UserError(
      'PyTorch is not installed; pip install -e ".[torch]"'
    ) from error
  return torch


def read(path: pathlib.Path) -> dict[str, Any]:
  """Reads a published checkpoint; nothing in it is run.

  Returns:
    Its dict with NumPy arrays for tensors, without any `module.` prefix.

  Raises:
    UserError: no such file, damaged, or not such a checkpoint.
  """
  torch = _torch()
  # Old files hold the error as a NumPy scalar, by either of its names.
  scalar = np.float64(0).__reduce__()[0]
  names = ('numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar')
  safe = [(scalar, name) for name in names]
  safe += [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
  try:
    with torch.serialization.safe_globals(safe), warnings.catch_warnings():
      warnings.simplefilter('ignore')
      checkpoint = torch.load(path, weights_only=True, map_location='cpu')
    checkpoint = _map_leaves(
      lambda x: x.detach().numpy() if isinstance(x, torch.Tensor) else x,
      dict(checkpoint),
    )
    state_dict = dict(checkpoint['state_dict'])
    if all(key.startswith('module.') for key in state_dict):
      state_dict = {k.removeprefix('module.'): v for k, v in state_dict.items()}
    if not all(isinstance(v, np.ndarray) for v in state_dict.values()):
      raise TypeError('not tensors')
    return checkpoint | {'state_dict': state_dict}
  except FileNotFoundError as error:
    raise UserError(f'{path}: no such file; give --input') from error
  except pickle.UnpicklingError as error:
    raise UserError(
      f'{path}: refused or damaged; it holds something else than tensors,'
      ' dicts and numbers'
    ) from error
  except Exception as error:  # A damaged file can raise anything.
    raise UserError(
      f'{path}: cut off, or not a checkpoint of the released code'
    ) from error


def _map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
  """jax.tree.map over dicts that keeps their order, which is PyTorch's."""
  if isinstance(tree, dict):
    return {k: _map_leaves(function, item) for k, item in tree.items()}
  return function(tree)


def write(checkpoint: dict[str, Any], path: pathlib.Path) -> None:
  """Writes what `export_checkpoint` returns in the published file format.

  Raises:
    FlagError: the file cannot be written; nothing is left of it.
    UserError: PyTorch is not installed.
  """
  torch = _torch()

  def tensors(arrays):
    return _map_leaves(lambda x: torch.from_numpy(np.array(x)), arrays)

  moments = checkpoint['optimizer']['state']
  # The installed PyTorch knows what else it wants in a group.
  adam = torch.optim.Adam(
    [torch.nn.Parameter(torch.zeros(1)) for _ in moments], lr=checkpoint['lr']
  )
  whole = checkpoint | {
    'state_dict': tensors(checkpoint['state_dict']),
    'optimizer': adam.state_dict() | {'state': tensors(moments)},
  }
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
      torch.save(whole, temporary, _use_new_zipfile_serialization=False)
  except (OSError, RuntimeError) as error:
    raise FlagError(f'--output={path}: cannot be written') from error


def import_run(
  path: pathlib.Path, output: pathlib.Path, fields: dict[str, Any]
) -> None:
  """Makes a run folder of a published checkpoint.

  Args:
    path: the checkpoint.
    output: a new folder.
    fields: of Config; the model's are inferred.

  Raises:
    UserError: a bad checkpoint; nothing is written.
    FlagError: bad fields, or the folder exists.
  """
  if os.path.lexists(output):
    raise FlagError(f'--output={output}: exists; name a new folder')
  checkpoint = read(path)
  try:
    config = _config_of(checkpoint, fields)
    skeleton = load_skeleton(config.skeleton)
    template = models.abstract_variables(config, skeleton)
    to_variables(checkpoint['state_dict'], config, template)
    state = create_train_state(config, skeleton)
    state, progress = import_checkpoint(checkpoint, config, state)
  except UserError as error:
    raise type(error)(f'{path}: {error}') from error
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(dir=output.parent, prefix='.'))
    try:
      config_lib.save(config, temporary / 'config.json')
      save_skeleton(skeleton, temporary / 'skeleton.json')
      with checkpoints.open_manager(temporary, 1) as manager:
        checkpoints.save(manager, state, progress)
      temporary.chmod(0o755)
      temporary.rename(output)
    finally:
      shutil.rmtree(temporary, ignore_errors=True)
  except OSError as error:
    raise FlagError(f'--output={output}: {error.strerror}') from error
  num_params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  print(
    f'{path} -> {output}: {config.model}, {num_params:,} parameters, epoch'
    f' {progress.epoch}, step {state.step}'
  )


def _config_of(checkpoint: Mapping[str, Any], fields: dict[str, Any]) -> Config:
  """The preset of the dataset, with the model and learning rate inferred."""
  inferred = infer_model(checkpoint['state_dict'])
  for name, value in inferred.items():
    if fields.get(name, value) != value:
      raise FlagError(f'--{name}={fields[name]}: the checkpoint has {value}')
  if fields.get('num_seeds', 1) > 1:
    raise FlagError('--num_seeds: a PyTorch checkpoint is one run')
  dataset = fields.get('dataset', 'h36m')
  choose('dataset', dataset, data.DATASETS)
  fields = {'preset': dataset, 'recipe': 'released'} | fields | inferred
  config = config_lib.preset(fields.pop('preset'), **fields)
  scaled = config.lr_batch or config.warmup_epochs
  if (
    checkpoint.get('lr') is None
    or 'lr' in fields
    or config.lr_schedule != 'staircase'
    or scaled
  ):
    return config
  lr = _number(checkpoint, 'lr', 1e-30, 1e9)
  step = _number(checkpoint, 'step', 0, 2**31 - 2)
  # As many decays as there were in the last step.
  lr /= config.lr_gamma ** min(step // config.lr_decay, 1000)
  return dataclasses.replace(config, lr=lr)


def export_run(
  workdir: pathlib.Path,
  which: str,
  output: pathlib.Path,
  seed: int | None = None,
) -> None:
  """Writes a checkpoint of a run in the published format.

  Args:
    workdir: folder of the run.
    which: 'best', 'last' or the number of an epoch.
    output: a new file.
    seed: of a run with several seeds the one to write.

  Raises:
    UserError: no such run or checkpoint, or the model was never released.
    FlagError: the file exists or cannot be written.
  """
  if os.path.lexists(output):
    raise FlagError(f'--output={output}: exists; name a new file')
  config = config_lib.load(workdir / 'config.json')
  unknown = {
    f'--model={config.model}': config.model == 'st_gcn',
    f'--conv={config.conv}': config.model == 'semgcn'
    and config.conv not in ('semantic', 'channel_wise'),
    f'--refine={config.refine}': bool(config.refine),
  }
  for flag, is_unknown in unknown.items():
    if is_unknown:
      raise UserError(
        f'{workdir}: was trained with {flag}, which the released code lacks'
      )
  skeleton = load_skeleton(str(workdir / 'skeleton.json'))
  state = create_train_state(config, skeleton)
  if seed is None and config.num_seeds > 1:
    seeds = listed(map(str, config.seeds))
    raise FlagError(f'--only_seed: name one of the seeds of {workdir}, {seeds}')
  index = config.index_of_seed(config.seed if seed is None else seed)
  state, progress = checkpoints.restore_state(workdir, state, which)
  if config.num_seeds > 1:
    state = jax.tree.map(lambda x: x[index], state)
  step = int(state.step)
  schedule = learning_rate(config, progress.epoch_steps)
  lr = float(schedule(max(step - 1, 0)))
  write(export_checkpoint(state, progress, config, lr), output)
  print(f'{workdir}, epoch {progress.epoch} -> {output}')
