"""Retrains the methods of the paper's Tables 1 and 3, and compares them."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from semgcn_jax import checkpoints, models, report
from semgcn_jax import config as config_lib
from semgcn_jax import workdir as run_folder
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError, UserError, choose
from semgcn_jax.methods import DIFFERING, METHODS, TABLES, Method, named
from semgcn_jax.skeleton import load_skeleton
from semgcn_jax.train import train_and_evaluate


def reproduce(
  presets: Sequence[str],
  tables: Sequence[str],
  overrides: dict[str, Any],
  workdir: pathlib.Path,
  command: str,
) -> None:
  """Trains what is not trained yet; writes the report after each method.

  The folder gets the report, see `report.write`, and a run folder
  `<preset>/<method>` each. A run that is finished is not repeated, one that was
  stopped goes on.

  Args:
    presets: each a column of the report.
    tables: of `TABLES`.
    overrides: fields of Config for all methods; `freeze_lifter` (by default
      True) for those that refine.
    workdir: the folder.
    command: for the report.

  Raises:
    FlagError: settings that make no sense, or are not those of the runs that
      are there.
    UserError: see `train_and_evaluate`; or it was asked to stop.
    KeyboardInterrupt: after Ctrl-C, when all is saved.
  """
  for name in DIFFERING:
    if name in overrides:
      raise FlagError(f'--{name}: is what the methods differ in; leave it out')
  for table in tables or ['']:
    choose('tables', table, dict.fromkeys(map(str, TABLES)))
  runs = [
    (preset, method, make_config(preset, method, overrides, workdir))
    for preset in presets
    for method in METHODS
    if {str(table) for table in method.tables} & set(tables)
  ]
  for preset, method, config in runs:  # Before hours of the others.
    folder = workdir / preset / method.folder
    models.build(config, load_skeleton(config.skeleton))
    is_finished(config, folder)
  for preset, method, config in runs:
    folder = workdir / preset / method.folder
    done = is_finished(config, folder)
    print(f'{preset}, {method.name}' + (': is finished' if done else ''))
    if not done:
      resume = run_folder.holds_run(folder)
      train_and_evaluate(config, folder, resume=resume)
      if not is_finished(config, folder):
        raise UserError('stopped; the same command goes on')
      report.write(workdir, command)
  print(f'\n{report.write(workdir, command)}\n{workdir / "report.md"}')


def make_config(
  preset: str, method: Method, overrides: dict[str, Any], workdir: pathlib.Path
) -> Config:
  """The run of a method."""
  if not method.lifter:
    fields = {'num_seeds': 3} | method.fields | overrides
    fields.pop('freeze_lifter', None)
    return config_lib.preset(preset, **fields)
  lifter = named(method.lifter)
  folder = workdir / preset / method.folder
  path = str(workdir / preset / lifter.folder)
  if run_folder.holds_run(folder):  # Which may have been moved since.
    path = config_lib.load(folder / 'config.json').lifter
  return dataclasses.replace(
    make_config(preset, lifter, overrides, workdir),
    refine='pose_grammar',
    lifter=path,
    freeze_lifter=overrides.get('freeze_lifter', True),
  )


def is_finished(config: Config, folder: pathlib.Path) -> bool:
  """Whether a run is there and all its epochs are.

  Raises:
    FlagError: the folder holds another run.
    UserError: its log lacks epochs.
  """
  run_folder.check(config, folder, resume=True)
  if not run_folder.holds_run(folder):
    return False
  epochs = config_lib.load(folder / 'config.json').epochs
  if epochs != config.epochs:  # What refines it would not follow.
    raise FlagError(
      f'--epochs={config.epochs}: the run in {folder} has {epochs}; name'
      ' another --workdir'
    )
  if checkpoints.finished_epochs(folder) < epochs:
    return False
  if len(run_folder.read_records(folder, epochs)) < epochs:
    raise UserError(
      f'{folder / "metrics.jsonl"}: lacks epochs; restore it, or remove'
      f' {folder} to train it again'
    )
  return True
