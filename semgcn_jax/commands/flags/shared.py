"""Flags that several commands share."""

import dataclasses
import os
import pathlib
from typing import Any

from semgcn_jax import weights
from semgcn_jax.commands.parsing import Flags
from semgcn_jax.config.fields import setting
from semgcn_jax.errors import SettingError, UserError

_CACHES = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')


def checkpoint_setting(verb: str, default: Any) -> Any:
  """Declares --checkpoint: bundled weights, or a run folder."""
  return setting(
    default,
    f'{verb} the run in this folder, or these bundled weights:'
    f' {", ".join(weights.names())}. A folder of the same name is ./<name>.',
  )


@dataclasses.dataclass(frozen=True)
class RunFlags(Flags):
  """The flags that select a checkpoint of a run, and a seed."""

  which: str = setting(
    'best', 'Use this checkpoint: best, last, or the number of an epoch.'
  )
  only_seed: int | None = setting(None, 'Use this seed of a run with several.')


@dataclasses.dataclass(frozen=True)
class CacheFlags(Flags):
  """The flag of `use_compilation_cache`."""

  compilation_cache: str = setting(
    os.path.join(_CACHES, 'semgcn_jax'),
    'Cache compiled programs in this folder; if empty, do not.',
  )


def check_exists(setting: str, path: str | pathlib.Path) -> None:
  """Checks that there is the file or folder that a setting names.

  Raises:
    SettingError: The name is empty.
    UserError: There is none.
  """
  if not str(path):
    raise SettingError(f'`{setting}`: is empty; name a file or a folder')
  try:
    os.stat(path)
  except (FileNotFoundError, NotADirectoryError) as error:
    raise UserError(f'{path}: no such file or folder') from error
