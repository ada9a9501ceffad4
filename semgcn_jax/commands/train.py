"""Trains a model and scores it after every epoch."""

import dataclasses
import functools
import pathlib

from semgcn_jax import config as config_lib
from semgcn_jax.commands.parsing import EVERY_SETTING, config_of
from semgcn_jax.commands.running import run
from semgcn_jax.commands.shared_flags import CacheFlags, use_compilation_cache
from semgcn_jax.config.fields import NOT_NEGATIVE, POSITIVE, setting
from semgcn_jax.errors import SettingError, Terminated
from semgcn_jax.runs.folder import holds_run
from semgcn_jax.training import processes
from semgcn_jax.training.loop import train


@dataclasses.dataclass(frozen=True)
class TrainFlags(CacheFlags):
  """The flags of the command."""

  settings = EVERY_SETTING
  workdir: str | None = setting(
    None, 'Keep the run in this folder; by default runs/<preset>.'
  )
  resume: bool = setting(False, 'Continue the run in --workdir.')
  distributed: bool = setting(
    False,
    'Train as one of several processes started by SLURM or Kubernetes.',
  )
  coordinator: str | None = setting(
    None, 'Train as one of several processes; the first is at this host:port.'
  )
  num_processes: int | None = setting(
    None, 'Set the number of processes.', POSITIVE
  )
  process_id: int | None = setting(
    None, 'Set the number of this process, from 0.', NOT_NEGATIVE
  )


def train_run(flags: TrainFlags) -> None:
  """Trains the run in the flags; raises Terminated after SIGTERM."""
  _join_processes(flags)
  use_compilation_cache(flags)
  given = flags.given
  name = given.get('preset', config_lib.Config.preset)
  if flags.workdir == '':
    raise SettingError('`workdir`: is empty; name a folder')
  workdir = pathlib.Path(flags.workdir or f'runs/{name}')
  if flags.resume and holds_run(workdir):
    config = config_lib.load(workdir / 'config.json').replace(**given)
  else:
    config = config_of(given)
  with processes.ending_together():
    records = train(config, workdir, resume=flags.resume)
  if not records or records[-1]['epoch'] < config.training.epochs:
    raise Terminated  # Everything is saved. A shell's && must stop here.


def _join_processes(flags: TrainFlags) -> None:
  """Joins this process with others, if the flags say so."""
  by_hand = flags.coordinator, flags.num_processes, flags.process_id
  address, count, number = by_hand
  if by_hand == (None, None, None):
    if flags.distributed:
      processes.join(*by_hand)
    return
  if address is None or count is None or number is None:
    raise SettingError(
      '`coordinator`, `num_processes`, `process_id`: give all three, or'
      ' `distributed` alone'
    )
  if number >= count:
    raise SettingError(
      f'`process_id={number}`: must be below `num_processes`, {count}'
    )
  processes.join(*by_hand)


main = functools.partial(run, __doc__, train_run, TrainFlags)
