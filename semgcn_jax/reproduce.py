"""Retrains the methods of the paper's Tables 1 and 3, and compares them."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax

from semgcn_jax import checkpoints, models, report
from semgcn_jax import config as config_lib
from semgcn_jax import workdir as run_folder
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError, choose
from semgcn_jax.evaluate import rank
from semgcn_jax.skeleton import load_skeleton
from semgcn_jax.train import train_and_evaluate


@dataclasses.dataclass(frozen=True)
class Method:
  """A row of the paper's tables.

  Attributes:
    name: as in `published`.
    tables: of the paper, where it is.
    fields: of Config, that make it.
    lifter: the method whose poses it refines; '' for none.
  """

  name: str
  tables: tuple[int, ...]
  fields: dict[str, Any]
  lifter: str = ''

  @property
  def folder(self) -> str:
    """For its run."""
    words = {'w/o': 'without', 'w/': 'with'}
    name = self.name.lower().split()
    return '_'.join(words.get(word, word) for word in name)


_SEMGCN = {'model': 'semgcn'}
_RESGCN = _SEMGCN | {'conv': 'vanilla', 'non_local': False}
METHODS = (
  Method('ResGCN', (1,), _RESGCN),
  Method(
    'SemGCN w/o semantic convolution', (1,), _RESGCN | {'non_local': True}
  ),
  Method('SemGCN w/o non-local', (1,), _SEMGCN | {'non_local': False}),
  Method('SemGCN', (1, 3), _SEMGCN),
  Method('aGCN', (3,), _RESGCN | {'conv': 'agcn'}),
  # As wide as it takes for the published number of parameters.
  Method('GAT', (3,), _RESGCN | {'conv': 'gat', 'hid_dim': 136}),
  Method('ST-GCN', (3,), {'model': 'st_gcn'}),
  Method('FC', (3,), {'model': 'linear'}),
  Method('FC w/ pose grammar', (3,), {}, lifter='FC'),
  Method('SemGCN w/ pose grammar', (3,), {}, lifter='SemGCN'),
)
TABLES = (1, 3)
# What the methods differ in.
_THEIRS = ('model', 'conv', 'non_local', 'refine', 'lifter')


def reproduce(
  presets: Sequence[str],
  tables: Sequence[int],
  overrides: dict[str, Any],
  workdir: pathlib.Path,
) -> None:
  """Trains what is not trained yet; writes the report after each method.

  The folder gets report.md, report.json and figures (see `report.write`), and
  a run folder `<preset>/<method>` each. A run that is finished is not repeated,
  one that was stopped goes on.

  Args:
    presets: each a column of the report.
    tables: of `TABLES`.
    overrides: fields of Config for all methods; `freeze_lifter` (by default
      True) for those that refine.
    workdir: the folder.

  Raises:
    FlagError: settings that make no sense, or are not those of the runs that
      are there.
    UserError: see `train_and_evaluate`.
    KeyboardInterrupt: after Ctrl-C, when all is saved.
  """
  for name in _THEIRS:
    if name in overrides:
      raise FlagError(f'--{name}: is what the methods differ in; leave it out')
  for table in tables:
    choose('tables', str(table), {str(known): None for known in TABLES})
  methods = [method for method in METHODS if set(method.tables) & set(tables)]
  runs = [
    (preset, method, make_config(preset, method, overrides, workdir))
    for preset in presets
    for method in methods
  ]
  results: dict[str, dict[str, Any]] = {preset: {} for preset in presets}
  settings = {preset: config for preset, _, config in reversed(runs)}
  for preset, method, config in runs:
    folder = workdir / preset / method.folder
    done = is_finished(config, folder)
    print(f'{preset}, {method.name}' + (': is finished' if done else ''))
    if not done:
      resume = run_folder.holds_run(folder)
      train_and_evaluate(config, folder, resume=resume)
      if not is_finished(config, folder):  # It was asked to stop.
        return
    results[preset][method.name] = summarize_run(config, folder)
    report.write(
      {name: rows for name, rows in results.items() if rows},
      {name: [m.name for m in METHODS if name in m.tables] for name in tables},
      settings,
      _command(presets, tables, overrides),
      workdir,
    )
  print(f'\n{report.plain_table(results)}\n{workdir / "report.md"}')


def make_config(
  preset: str, method: Method, overrides: dict[str, Any], workdir: pathlib.Path
) -> Config:
  """The run of a method."""
  if method.lifter:
    (lifter,) = (m for m in METHODS if m.name == method.lifter)
    return dataclasses.replace(
      make_config(preset, lifter, overrides, workdir),
      refine='pose_grammar',
      lifter=str(workdir / preset / lifter.folder),
      freeze_lifter=overrides.get('freeze_lifter', True),
    )
  fields = {'num_seeds': 3} | method.fields | overrides
  fields.pop('freeze_lifter', None)
  return config_lib.preset(preset, **fields)


def is_finished(config: Config, folder: pathlib.Path) -> bool:
  """Whether a run is there and all its epochs are.

  Raises:
    FlagError: the folder holds another run.
  """
  run_folder.check(config, folder, resume=True)
  return (
    run_folder.holds_run(folder)
    and checkpoints.finished_epochs(folder) == config.epochs
  )


def summarize_run(config: Config, folder: pathlib.Path) -> dict[str, Any]:
  """What the report says of a finished run.

  Returns:
    {'num_params', 'seconds' (of training, without evaluation), 'epoch' (the
    best), 'mpjpe', 'mpjpe_sd', 'p_mpjpe', 'p_mpjpe_sd' (mm, over all poses; the
    deviations of several seeds), 'seeds' (the MPJPE of each), 'actions' {name:
    MPJPE}, 'curve' {'train_loss', 'mpjpe', 'mpjpe_sd': one an epoch}}.
  """
  records = run_folder.read_records(folder, config.epochs)
  best = min(records, key=lambda record: rank(record, config.choose_on))
  skeleton = load_skeleton(str(folder / 'skeleton.json'))
  params = models.abstract_variables(config, skeleton)['params']
  num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
  seeds = best.get('seeds', [best])
  return {
    'num_params': num_params // config.num_seeds,
    'seconds': sum(record['seconds'] for record in records),
    'epoch': best['epoch'],
    **{
      name: best.get(name, 0.0)
      for name in ('mpjpe', 'mpjpe_sd', 'p_mpjpe', 'p_mpjpe_sd')
    },
    'seeds': [seed['mpjpe'] for seed in seeds],
    'actions': {
      action: values['mpjpe'] for action, values in best['actions'].items()
    },
    'curve': {
      name: [record.get(name, 0.0) for record in records]
      for name in ('train_loss', 'mpjpe', 'mpjpe_sd')
    },
  }


def _command(
  presets: Sequence[str], tables: Sequence[int], overrides: dict[str, Any]
) -> str:
  """The command that makes the report, without the folders of a machine."""
  flags = {'tables': tables, 'preset': presets} | overrides
  flags.pop('data_dir', None)
  words = [
    f'--{name}={",".join(map(str, value))}'
    if isinstance(value, (tuple, list))
    else f'--{name}={str(value).lower() if value in (True, False) else value}'
    for name, value in flags.items()
  ]
  return ' '.join(['python experiments/reproduce.py', *words])
