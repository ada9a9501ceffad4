"""Flags that several commands share."""

import dataclasses
import os
import warnings
from typing import Any

from semgcn_jax import weights
from semgcn_jax.commands.parsing import Flags
from semgcn_jax.config.fields import setting
from semgcn_jax.errors import SettingError

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


def use_compilation_cache(flags: CacheFlags) -> None:
  """Caches compiled programs for the next start, as --compilation_cache says.

  JAX's own variables, such as JAX_COMPILATION_CACHE_DIR, take precedence.

  Raises:
    SettingError: The folder was given, and cannot be created.
  """
  # A cache that cannot be written, as on a full disk, only costs time.
  warnings.filterwarnings(
    'ignore', 'Error (reading|writing) persistent compilation cache'
  )
  folder = flags.compilation_cache
  if not folder or 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError as error:
    if folder == CacheFlags.compilation_cache:
      return  # Commands work without it.
    raise SettingError(
      f'`compilation_cache={folder}`: {error.strerror}; name another folder'
    ) from error
  # Imported here, so that commands that compile nothing start faster.
  import jax

  jax.config.update('jax_compilation_cache_dir', folder)
  if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
