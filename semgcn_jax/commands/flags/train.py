"""Trains a model and scores it after every epoch."""

import dataclasses
import pathlib

from semgcn_jax.commands.flags.shared import CacheFlags
from semgcn_jax.commands.parsing import EVERY_SETTING, config_of
from semgcn_jax.config import Config
from semgcn_jax.config.fields import NOT_NEGATIVE, POSITIVE, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.runs.folder import holds_run


@dataclasses.dataclass(frozen=True)
class Flags(CacheFlags):
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

  @property
  def folder(self) -> pathlib.Path:
    """The folder of the run."""
    name = self.given.get('preset', Config.preset)
    return pathlib.Path(self.workdir or f'runs/{name}')

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    by_hand = self.coordinator, self.num_processes, self.process_id
    if None in by_hand and by_hand != (None, None, None):
      raise SettingError(
        '`coordinator`, `num_processes`, `process_id`: give all three, or'
        ' `distributed` alone'
      )
    if (self.process_id or 0) >= (self.num_processes or 1):
      raise SettingError(
        f'`process_id={self.process_id}`: must be below `num_processes`,'
        f' {self.num_processes}'
      )
    if self.workdir == '':
      raise SettingError('`workdir`: is empty; name a folder')
    is_alone = not self.distributed and self.coordinator is None
    # One of several processes must not fail before it has joined the others.
    if is_alone and not (self.resume and holds_run(self.folder)):
      config_of(self.given)
