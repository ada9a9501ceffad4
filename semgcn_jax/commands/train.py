"""Trains a model and scores it after every epoch."""

import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax import config as config_lib
from semgcn_jax.commands.parsing import (
  config_flags,
  config_from_flags,
  define_cache_flag,
  define_config_flags,
  define_process_flags,
)
from semgcn_jax.commands.running import (
  join_processes,
  run,
  use_compilation_cache,
)
from semgcn_jax.errors import SettingError, Terminated
from semgcn_jax.runs.folder import holds_run
from semgcn_jax.training import processes
from semgcn_jax.training.loop import train_and_evaluate


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_config_flags(values)
  define_cache_flag(values)
  define_process_flags(values)
  flags.DEFINE_string(
    'workdir',
    None,
    'Keep the run in this folder; by default runs/<preset>.',
    flag_values=values,
  )
  flags.DEFINE_bool(
    'resume', False, 'Go on with the run in --workdir.', flag_values=values
  )


def train(values: flags.FlagValues) -> None:
  """Trains the run that the flags describe.

  Raises:
    SettingError: A flag is wrong.
    UserError: A file is damaged or not usable.
    Terminated: SIGTERM came; all is saved.
  """
  join_processes(values)
  use_compilation_cache(values)
  given = config_flags(values)
  name = given.get('preset', config_lib.Config.preset)
  if values.workdir == '':
    raise SettingError('`workdir`: is empty; name a folder')
  workdir = pathlib.Path(values.workdir or f'runs/{name}')
  if values.resume and holds_run(workdir):
    config = config_lib.load(workdir / 'config.json').replace(**given)
  else:
    config = config_from_flags(values)
  with processes.ending_together():
    records = train_and_evaluate(config, workdir, resume=values.resume)
  if not records or records[-1]['epoch'] < config.training.epochs:
    raise Terminated  # All is saved. A shell's && must not go on.


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, train, argv)
