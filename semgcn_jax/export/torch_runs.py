"""Converts between run folders and the released code's checkpoints."""

import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from semgcn_jax import config as config_lib
from semgcn_jax.config import OF_POSES, Config
from semgcn_jax.config.presets import preset
from semgcn_jax.errors import SettingError, UserError, choose, listed
from semgcn_jax.export import torch_files
from semgcn_jax.export.torch_names import infer_model
from semgcn_jax.export.torch_states import (
  export_checkpoint,
  import_checkpoint,
  number,
  to_variables,
)
from semgcn_jax.geometry.skeletons import load_skeleton, save_skeleton
from semgcn_jax.models.build import abstract_variables, count_parameters
from semgcn_jax.runs import checkpoints, networks
from semgcn_jax.training.optimizers import learning_rate
from semgcn_jax.training.state import create_train_state


def import_run(
  path: pathlib.Path, output: pathlib.Path, settings: dict[str, Any]
) -> None:
  """Converts a published checkpoint to a run folder.

  Args:
    path: The checkpoint.
    output: The folder to create; it must not exist.
    settings: The settings of the run; those of the model are inferred.

  Raises:
    UserError: The checkpoint is damaged, or its model was never released;
      nothing is written.
    SettingError: A setting contradicts the checkpoint, or the folder exists or
      cannot be written.
  """
  if os.path.lexists(output):
    raise SettingError(f'`output={output}`: exists; name a new folder')
  checkpoint = torch_files.read(path)
  try:
    config = _make_config(checkpoint, settings)
    skeleton = load_skeleton(config.data.skeleton)
    template = abstract_variables(config.model, skeleton)
    to_variables(checkpoint['state_dict'], config.model, template)
    state = create_train_state(config, skeleton)
    state, progress = import_checkpoint(
      checkpoint, config.model, config.evaluation.choose_on, state
    )
  except UserError as error:
    raise type(error)(f'{path}: {error}') from error
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix='.') as parent:
      temporary = pathlib.Path(parent) / output.name
      temporary.mkdir()
      config_lib.save(config, temporary / 'config.json')
      save_skeleton(skeleton, temporary / 'skeleton.json')
      with checkpoints.open_manager(temporary, 1) as manager:
        checkpoints.save(manager, state, progress, skeleton)
      temporary.rename(output)
  except OSError as error:
    raise SettingError(f'`output={output}`: {error.strerror}') from error
  num_params = count_parameters(config.model, skeleton)
  print(
    f'{path} -> {output}: {config.model.model}, {num_params:,} parameters,'
    f' epoch {progress.epoch}, step {state.step}'
  )


def _make_config(
  checkpoint: Mapping[str, Any], settings: dict[str, Any]
) -> Config:
  """Builds the config of the run; infers the model and the learning rate."""
  inferred = infer_model(checkpoint['state_dict'])
  for name, value in inferred.items():
    if settings.get(name, value) != value:
      raise SettingError(
        f'`{name}={settings[name]}`: the checkpoint has {value}'
      )
  if settings.get('num_seeds', 1) > 1:
    raise SettingError('`num_seeds`: a PyTorch checkpoint is one run')
  dataset = settings.get('dataset', 'h36m')
  choose('dataset', dataset, dict.fromkeys(OF_POSES))
  settings = {'preset': dataset, 'recipe': 'released'} | settings | inferred
  config = preset(settings.pop('preset'), **settings)
  training = config.training
  scaled = training.lr_batch or training.warmup_epochs
  is_given = checkpoint.get('lr') is None or 'lr' in settings
  if is_given or scaled or training.lr_schedule != 'staircase':
    return config
  lr = number(checkpoint, 'lr', 1e-30, 1e9)
  step = number(checkpoint, 'step', 0, 2**31 - 2)
  # The checkpoint has the learning rate of its last step; undo the decays.
  lr /= training.lr_gamma ** min(step // training.lr_decay, 1000)
  return config.replace(lr=lr)


def export_run(
  workdir: pathlib.Path,
  which: str,
  output: pathlib.Path,
  seed: int | None = None,
) -> None:
  """Writes a checkpoint of a run in the published format.

  Args:
    workdir: The folder of the run.
    which: The checkpoint: 'best', 'last' or the number of an epoch.
    output: The file to write; it must not exist.
    seed: The seed to write; required if the run has several.

  Raises:
    UserError: There is no such run or checkpoint, or the model was never
      released.
    SettingError: The file exists or cannot be written, or the seed is missing
      or not one of the run's.
  """
  if os.path.lexists(output):
    raise SettingError(f'`output={output}`: exists; name a new file')
  config = config_lib.load(workdir / 'config.json')
  model, training = config.model, config.training
  unknown = {
    f'`model={model.model}`': model.model not in ('semgcn', 'linear'),
    f'`conv={model.conv}`': model.model == 'semgcn'
    and model.conv not in ('semantic', 'channel_wise'),
    f'`refine={model.refine}`': bool(model.refine),
    f'`backbone={model.backbone}`': bool(model.backbone),
    f'`input_joints={",".join(model.input_joints)}`': bool(model.input_joints),
  }
  for setting, is_unknown in unknown.items():
    if is_unknown:
      raise UserError(
        f'{workdir}: was trained with {setting}, which the released code lacks'
      )
  skeleton = load_skeleton(str(workdir / 'skeleton.json'))
  state = create_train_state(config, skeleton)
  if seed is None and training.num_seeds > 1:
    seeds = listed(map(str, training.seeds))
    raise SettingError(
      f'`only_seed`: name one of the seeds of {workdir}, {seeds}'
    )
  seed = training.seed if seed is None else seed
  training.index_of_seed(seed)  # Fails early for a wrong seed.
  state, progress = checkpoints.restore_state(workdir, state, which)
  state = networks.take_seed(state, training, seed)
  schedule = learning_rate(training, progress.epoch_steps)
  lr = float(np.asarray(schedule(max(int(state.step) - 1, 0))))
  checkpoint = export_checkpoint(state, progress, model, lr)
  torch_files.write(checkpoint, output)
  print(f'{workdir}, epoch {progress.epoch} -> {output}')
