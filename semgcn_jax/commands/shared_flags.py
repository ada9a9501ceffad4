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
  """Describes --checkpoint: weights in the box, or the folder of a run."""
  return setting(
    default,
    f'{verb} the run in this folder, or the weights in the box of this name:'
    f' {", ".join(weights.names())}. A folder of the same name is ./<name>.',
  )


@dataclasses.dataclass(frozen=True)
class RunFlags(Flags):
  """The flags that choose a checkpoint of a run, and a seed."""

  which: str = setting(
    'best', 'Take this checkpoint: best, last, or the number of an epoch.'
  )
  only_seed: int | None = setting(
    None, 'Take this seed of a run that has several.'
  )


@dataclasses.dataclass(frozen=True)
class CacheFlags(Flags):
  """The flag of `use_compilation_cache`."""

  compilation_cache: str = setting(
    os.path.join(_CACHES, 'semgcn_jax'),
    'Keep compiled programs in this folder, for a faster start; if empty, keep'
    ' none.',
  )


def use_compilation_cache(flags: CacheFlags) -> None:
  """Keeps compiled programs for the next start, as --compilation_cache says.

  If JAX's own variable JAX_COMPILATION_CACHE_DIR is set, that counts instead.

  Raises:
    SettingError: The folder was given, and cannot be made.
  """
  # A cache that cannot be written, as on a full disk, costs time alone.
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
      return  # The cache only saves time, so a command works without it.
    raise SettingError(
      f'`compilation_cache={folder}`: {error.strerror}; name another folder'
    ) from error
  # The import is here, as commands that compile nothing need not wait for it.
  import jax

  jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
