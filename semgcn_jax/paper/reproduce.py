"""Retrains the methods in the tables, and compares them."""

import pathlib
from collections.abc import Sequence
from typing import Any

from semgcn_jax import config as config_lib
from semgcn_jax.config import Config
from semgcn_jax.config.presets import PRESETS, preset
from semgcn_jax.errors import (
  SettingError,
  Terminated,
  UserError,
  choose,
  listed,
)
from semgcn_jax.geometry.skeletons import load_skeleton
from semgcn_jax.models.build import build
from semgcn_jax.paper import report
from semgcn_jax.paper.methods import DIFFERING, METHODS, TABLES, Method, named
from semgcn_jax.runs import checkpoints, folder
from semgcn_jax.training.loop import train


def reproduce(
  presets: Sequence[str],
  tables: Sequence[str],
  overrides: dict[str, Any],
  workdir: pathlib.Path,
  command: str,
) -> None:
  """Trains the methods, and writes the report after each of them.

  Each method has a run folder, `<preset>/<method>`. Finished runs are not
  repeated, and interrupted ones continue.

  Args:
    presets: The presets to train with, each with its own columns in the report.
    tables: The tables to train, keys of `TABLES`.
    overrides: The settings for all methods; `freeze_init` (by default True)
      only affects those that refine.
    workdir: The folder for the runs and the report; see `report.write`.
    command: The command line, for the report.

  Raises:
    SettingError: A setting is wrong, or differs from an existing run.
    UserError: Training failed, see `train`, or was asked to stop.
    KeyboardInterrupt: Ctrl-C was pressed, or SIGTERM came; all is saved.
  """
  for name in DIFFERING:
    if name in overrides:
      raise SettingError(
        f'`{name}`: is what distinguishes the methods; leave it out'
      )
  _check_tables(presets, tables, overrides)
  runs = [
    (name, method, make_config(name, method, overrides, workdir))
    for name in presets
    for method in METHODS
    if {*method.tables} & {*tables}
  ]
  _check_workdir(workdir)
  # Check all of them first, or mistakes would surface hours later.
  for name, method, config in runs:
    build(config.model, load_skeleton(config.data.skeleton))
    is_finished(config, workdir / name / method.folder)
  for name, method, config in runs:
    path = workdir / name / method.folder
    done = is_finished(config, path)
    print(f'{name}, {method.name}' + (': is finished' if done else ''))
    if not done:
      train(config, path, resume=folder.holds_run(path))
      if not is_finished(config, path):
        raise Terminated('stopped; run the same command to continue')
      report.write(workdir, command)
  print(f'\n{report.write(workdir, command)}\n{workdir / "report.md"}')


def make_config(
  name: str, method: Method, overrides: dict[str, Any], workdir: pathlib.Path
) -> Config:
  """Builds the config of a method's run with a preset; see `reproduce`.

  Raises:
    SettingError: There is no such preset, or a setting is wrong.
  """
  fields = method.fields | overrides
  if not method.fields.get('refine'):
    fields.pop('freeze_init', None)
  if not method.source:
    return preset(name, **{'num_seeds': 3} | fields)
  source = named(method.source)
  path = workdir / name / method.folder
  init_from = str(workdir / name / source.folder)
  # The folders may have moved since the run was started.
  if folder.holds_run(path):
    init_from = config_lib.load(path / 'config.json').model.init_from
  config = make_config(name, source, overrides, workdir)
  # Only the first stage starts from weights for the backbone.
  own = {'init_from': init_from, 'backbone_weights': ''}
  return config.replace(**fields | own)


def is_finished(config: Config, path: pathlib.Path) -> bool:
  """Returns whether a folder holds a run of this config with all its epochs.

  Raises:
    SettingError: The folder holds another run.
    UserError: The log of the run lacks epochs.
  """
  folder.check(config, path, resume=True)
  if not folder.holds_run(path):
    return False
  wanted = config.training.epochs
  epochs = config_lib.load(path / 'config.json').training.epochs
  # Methods that start from it would not notice a different number of epochs.
  if epochs != wanted:
    raise SettingError(
      f'`epochs={wanted}`: the run in {path} has {epochs}; name another'
      ' `workdir`'
    )
  if checkpoints.finished_epochs(path) < epochs:
    return False
  if len(folder.read_records(path, epochs)) < epochs:
    raise UserError(
      f'{path / "metrics.jsonl"}: lacks epochs; restore it, or remove {path} to'
      ' train it again'
    )
  return True


def _check_tables(
  presets: Sequence[str], tables: Sequence[str], overrides: dict[str, Any]
) -> None:
  """Raises a SettingError for unknown tables, or presets that do not suit."""
  settings = {k: v for k, v in overrides.items() if k != 'freeze_init'}
  for table in tables or ['']:
    sees = choose('tables', table, TABLES)
    for name in presets:
      if bool(preset(name, **settings).model.backbone) == sees:
        continue
      if sees:
        those = listed(n for n in PRESETS if 'backbone' in PRESETS[n])
        raise SettingError(
          f'`tables={table}`: needs images, which `preset={name}` lacks; choose'
          f' from {those}'
        )
      raise SettingError(
        f'`tables={table}`: needs 2D input, but `preset={name}` takes images;'
        ' use `tables=2`, or another preset'
      )


def _check_workdir(workdir: pathlib.Path) -> None:
  """Raises a SettingError if a folder holds something other than a report."""
  try:
    names = {p.name for p in workdir.iterdir()} if workdir.exists() else set()
  except OSError as error:
    raise SettingError(f'`workdir={workdir}`: {error.strerror}') from error
  if names and not names & {*PRESETS, 'report.md'}:
    raise SettingError(
      f'`workdir={workdir}`: holds something other than runs; name a new folder'
    )
