"""Caches compiled programs between commands."""

import os
import warnings

import jax

from semgcn_jax.commands.flags.shared import CacheFlags
from semgcn_jax.errors import SettingError


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
  jax.config.update('jax_compilation_cache_dir', folder)
  if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
