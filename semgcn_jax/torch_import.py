"""Checkpoints of the released PyTorch code: to our variables and back.

A published checkpoint is a dict of epoch, lr, step, optimizer, state_dict and
error, saved by `torch.save` in its legacy format. Importing this module does
not import torch: only reading and writing files does.
"""

import dataclasses
import pathlib
import pickle
import shutil
from collections.abc import Mapping
from typing import Any

import flax
import jax
import numpy as np
import optax

from semgcn_jax import checkpoints
from semgcn_jax import config as config_lib
from semgcn_jax.checkpoints import Progress
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError, UserError
from semgcn_jax.skeleton import load_skeleton, save_skeleton
from semgcn_jax.torch_names import entries, infer_model
from semgcn_jax.train import TrainState, create_train_state, learning_rate


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
    UserError: lists every missing, extra and misshapen key.
  """
  shapes = flax.traverse_util.flatten_dict(template)
  wanted = {
    entry.torch: entry.to_torch(np.empty(shapes[entry.path].shape)).shape
    for entry in entries(config)
  }
  problems = [f'{key} is missing' for key in wanted if key not in state_dict]
  problems += [
    f'{key} is extra'
    for key in state_dict
    if key not in wanted and not key.endswith('.num_batches_tracked')
  ]
  problems += [
    f'{key} has shape {state_dict[key].shape}, not {shape}'
    for key, shape in wanted.items()
    if key in state_dict and state_dict[key].shape != shape
  ]
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
  step = np.int32(checkpoint.get('step', 0))
  opt_state = _with_schedule(state.opt_state, step)
  moments = (checkpoint.get('optimizer') or {}).get('state')
  if moments:
    numbers = checkpoint['optimizer']['param_groups'][0]['params']
    params = [entry for entry in entries(config) if entry.is_param]
    trees = []
    for name in ('exp_avg', 'exp_avg_sq'):
      flat = {}
      for number, entry in zip(numbers, params, strict=False):
        moment = moments.get(number, {}).get(name)
        shape = checkpoint['state_dict'][entry.torch].shape
        if moment is None or moment.shape != shape:
          raise UserError(
            f'the optimizer has no {name} of shape {shape} for {entry.torch};'
            ' remove the optimizer from the checkpoint to start it afresh'
          )
        flat[entry.path[1:]] = entry.to_ours(moment)
      if len(flat) != len(params) or len(numbers) != len(params):
        raise UserError(
          f'the optimizer is of {len(numbers)} parameters, the model of'
          f' {len(params)}; remove the optimizer from the checkpoint'
        )
      trees.append(flax.traverse_util.unflatten_dict(flat))
    count = np.int32(moments[numbers[0]]['step'])
    opt_state = _with_moments(opt_state, count, *trees)
  state = state.replace(
    step=step,
    params=variables['params'],
    batch_stats=variables['batch_stats'],
    opt_state=opt_state,
  )
  error = checkpoint.get('error')
  return state, Progress(
    epoch=int(checkpoint.get('epoch', 0)),
    mpjpe=None if error is None else float(error),
  )


def export_checkpoint(
  state: TrainState, progress: Progress, config: Config, lr: float
) -> dict[str, Any]:
  """The inverse of `import_checkpoint`, for `write`.

  Args:
    state: to export.
    progress: how far the run has come.
    config: of the run.
    lr: learning rate at the state's step.
  """
  step = int(state.step)
  state_dict = {}
  for key, array in to_state_dict(state.variables, config).items():
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
      number: {
        'step': int(adam.count),
        'exp_avg': entry.to_torch(np.asarray(mu[entry.path[1:]])),
        'exp_avg_sq': entry.to_torch(np.asarray(nu[entry.path[1:]])),
      }
      for number, entry in enumerate(params)
    },
    'error': progress.mpjpe,
  }


def _is_adam(part: Any) -> bool:
  return isinstance(part, optax.ScaleByAdamState)


def _with_schedule(opt_state: Any, count: np.int32) -> Any:
  def change(part):
    if isinstance(part, optax.ScaleByScheduleState):
      return part._replace(count=count)
    return part

  return jax.tree.map(
    change,
    opt_state,
    is_leaf=lambda part: isinstance(part, optax.ScaleByScheduleState),
  )


def _with_moments(opt_state: Any, count: np.int32, mu: Any, nu: Any) -> Any:
  def change(part):
    return part._replace(count=count, mu=mu, nu=nu) if _is_adam(part) else part

  return jax.tree.map(change, opt_state, is_leaf=_is_adam)


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
  scalar = np.float64(0).__reduce__()[0]
  # Old files hold the error as a NumPy scalar.
  safe = [
    *(np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.float32))),
    *((scalar, 'numpy.core.multiarray.scalar'), scalar),
  ]
  try:
    with torch.serialization.safe_globals(safe):
      checkpoint = torch.load(path, weights_only=True, map_location='cpu')
    state_dict = checkpoint['state_dict']
    checkpoint['state_dict'] = {
      key.removeprefix('module.'): tensor.numpy()
      for key, tensor in state_dict.items()
    }
    optimizer = checkpoint.get('optimizer') or {}
    for moments in optimizer.get('state', {}).values():
      for name in ('exp_avg', 'exp_avg_sq'):
        if name in moments:
          moments[name] = moments[name].numpy()
  except FileNotFoundError as error:
    raise UserError(f'{path}: no such file; give --input') from error
  except pickle.UnpicklingError as error:
    raise UserError(
      f'{path}: refused or damaged; it holds something else than tensors,'
      ' dicts and numbers'
    ) from error
  except (
    *(OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError),
    *(AttributeError, IndexError, MemoryError),
  ) as error:
    raise UserError(
      f'{path}: cut off, or not a checkpoint of the released code'
    ) from error
  return checkpoint


def write(checkpoint: dict[str, Any], path: pathlib.Path) -> None:
  """Writes what `export_checkpoint` returns in the published file format."""
  torch = _torch()
  state_dict = {
    key: torch.from_numpy(np.array(array))
    for key, array in checkpoint['state_dict'].items()
  }
  params = [
    torch.nn.Parameter(torch.from_numpy(np.array(moments['exp_avg'])))
    for moments in checkpoint['optimizer'].values()
  ]
  optimizer = torch.optim.Adam(params, lr=checkpoint['lr']).state_dict()
  optimizer['state'] = {
    number: {
      'step': torch.tensor(float(moments['step'])),
      'exp_avg': torch.from_numpy(np.array(moments['exp_avg'])),
      'exp_avg_sq': torch.from_numpy(np.array(moments['exp_avg_sq'])),
    }
    for number, moments in checkpoint['optimizer'].items()
  }
  whole = checkpoint | {'state_dict': state_dict, 'optimizer': optimizer}
  temporary = path.with_name(path.name + '.tmp')
  try:
    torch.save(whole, temporary, _use_new_zipfile_serialization=False)
    temporary.replace(path)
  except (OSError, RuntimeError) as error:
    raise FlagError(f'--output={path}: cannot be written ({error})') from error


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
  if output.exists():
    raise FlagError(f'--output={output}: exists; name a new folder')
  checkpoint = read(path)
  try:
    config = _config_of(checkpoint, fields)
    skeleton = load_skeleton(config.skeleton)
    state = create_train_state(config, skeleton)
    state, progress = import_checkpoint(checkpoint, config, state)
  except UserError as error:
    raise type(error)(f'{path}: {error}') from error
  temporary = output.with_name(output.name + '.tmp')
  shutil.rmtree(temporary, ignore_errors=True)
  try:
    temporary.mkdir(parents=True)
    config_lib.save(config, temporary / 'config.json')
    save_skeleton(skeleton, temporary / 'skeleton.json')
    with checkpoints.open_manager(temporary, 1) as manager:
      checkpoints.save(manager, state, progress)
    temporary.rename(output)
  except OSError as error:
    raise FlagError(f'--output={output}: {error.strerror}') from error
  num_params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  print(
    f'{path} -> {output}: {config.model}, {num_params:,} parameters, epoch'
    f' {progress.epoch}, step {state.step}'
  )


def _config_of(checkpoint: Mapping[str, Any], fields: dict[str, Any]) -> Config:
  """The preset of the dataset, with the model and learning rate inferred."""
  dataset = fields.get('dataset', 'h36m')
  name = fields.get('preset', dataset)
  fields = {k: v for k, v in fields.items() if k != 'preset'}
  fields |= infer_model(checkpoint['state_dict'])
  config = config_lib.preset(name, **fields)
  lr = checkpoint.get('lr')
  if lr is None or 'lr' in fields:
    return config
  decays = int(checkpoint.get('step', 0)) // config.lr_decay
  return dataclasses.replace(config, lr=lr / config.lr_gamma**decays)


def export_run(workdir: pathlib.Path, which: str, output: pathlib.Path) -> None:
  """Writes a checkpoint of a run in the published format.

  Args:
    workdir: folder of the run.
    which: 'best', 'last' or the number of an epoch.
    output: a new file.

  Raises:
    UserError: no such run or checkpoint, or the model was never released.
    FlagError: the file exists or cannot be written.
  """
  if output.exists():
    raise FlagError(f'--output={output}: exists; name a new file')
  config = config_lib.load(workdir / 'config.json')
  if config.conv == 'vanilla' and config.model == 'semgcn':
    raise UserError(
      f'{workdir}: the released code has no vanilla graph convolution'
    )
  skeleton = load_skeleton(str(workdir / 'skeleton.json'))
  state = create_train_state(config, skeleton)
  state, progress = checkpoints.restore_state(workdir, state, which)
  lr = float(learning_rate(config)(int(state.step)))
  write(export_checkpoint(state, progress, config, lr), output)
  print(f'{workdir}, epoch {progress.epoch} -> {output}')
