"""What the commands share: flags of the Config, and errors in one line."""

import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags
from absl import logging as absl_logging

from semgcn_jax import config as config_lib
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError, UserError

_DEFINE = {
  bool: flags.DEFINE_bool,
  int: flags.DEFINE_integer,
  float: flags.DEFINE_float,
  str: flags.DEFINE_string,
  tuple: flags.DEFINE_list,
}


def define_cache_flag() -> None:
  """Defines --compilation_cache, for `use_compilation_cache`."""
  home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  flags.DEFINE_string(
    'compilation_cache',
    os.path.join(home, 'semgcn_jax'),
    'Folder of compiled programs, for a faster start; empty: none.',
    module_name=sys.argv[0],
  )


def use_compilation_cache() -> None:
  """Keeps compiled programs for the next start, as --compilation_cache says.

  JAX's own variable JAX_COMPILATION_CACHE_DIR comes first.
  """
  folder = flags.FLAGS.compilation_cache
  if not folder or 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError as error:
    if flags.FLAGS['compilation_cache'].using_default_value:
      return  # It is only for speed.
    raise FlagError(
      f'--compilation_cache={folder}: {error.strerror}; name another folder'
    ) from error
  import jax  # Commands that compile nothing do not wait for it.

  jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)


def define_process_flags() -> None:
  """Defines the flags for `join_processes`."""
  module = {'module_name': sys.argv[0]}
  flags.DEFINE_bool(
    'distributed',
    False,
    'One of several processes, as SLURM or Kubernetes has started them.',
    **module,
  )
  flags.DEFINE_string(
    'coordinator', None, 'The same by hand: host:port of process 0.', **module
  )
  flags.DEFINE_integer('num_processes', None, 'Of the run.', 1, **module)
  flags.DEFINE_integer('process_id', None, 'From 0.', 0, **module)


def join_processes() -> None:
  """Makes this one of several processes, if the flags say so."""
  given = flags.FLAGS
  by_hand = (given.coordinator, given.num_processes, given.process_id)
  if any(value is not None for value in by_hand):
    if None in by_hand:
      raise FlagError(
        '--coordinator, --num_processes, --process_id: give all three, or'
        ' --distributed alone'
      )
    if given.process_id >= given.num_processes:
      raise FlagError(
        f'--process_id={given.process_id}: must be below --num_processes,'
        f' {given.num_processes}'
      )
  elif not given.distributed:
    return
  from semgcn_jax import processes  # Commands that need no jax are faster.

  processes.join(*by_hand)


def define_config_flags(*names: str) -> None:
  """Defines a flag for each named field of Config; without names, for all."""
  for field in dataclasses.fields(Config):
    if not names or field.name in names:
      define = _DEFINE[type(field.default)]
      define(field.name, None, field.metadata['help'])
      # --help shows the flags of the command's own module.
      flags.FLAGS.register_key_flag_for_module(
        sys.argv[0], flags.FLAGS[field.name]
      )


def config_flags() -> dict[str, Any]:
  """The Config fields that were given as flags."""
  given = {}
  for field in dataclasses.fields(Config):
    value = getattr(flags.FLAGS, field.name, None)
    if value is not None:
      given[field.name] = tuple(value) if isinstance(value, list) else value
  return given


def config_from_flags() -> Config:
  """The preset with the given flags in place of its fields."""
  given = config_flags()
  name = given.pop('preset', Config.preset)
  return config_lib.preset(name, **given)


def run(main: Callable[[], None]) -> None:
  """Parses the flags and calls main.

  A user's mistake ends the program with one line on standard error: status 2
  for flags, 1 for the rest. Ctrl-C ends it with status 130.
  """

  def parse(argv):
    try:
      rest = flags.FLAGS(argv)
    except flags.Error as error:
      _exit(' '.join(str(error).split()), 2)
    if rest[1:]:
      _exit(f'{rest[1]}: not a flag; flags start with --, see --help', 2)
    return rest

  def guarded(argv):
    del argv
    sys.unraisablehook = _hook
    # A terminated command cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # JAX would take most of a GPU at once, and up to 2 GB of the host for that.
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
    # jax and orbax tell every step; what matters reaches the user otherwise.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger('absl').setLevel(logging.ERROR)
    absl_logging.get_absl_handler().setFormatter(
      logging.Formatter('note: %(message)s')
    )
    try:
      main()
    except UserError as error:
      _exit(str(error), error.status)
    except KeyboardInterrupt:
      _exit('interrupted', 130)

  app.run(guarded, flags_parser=parse)


def _hook(unraisable: Any) -> None:
  """Silences the reads that go on when one array of a checkpoint is damaged."""
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)


def _exit(message: str, status: int) -> None:
  sys.stdout.flush()
  print(f'{sys.argv[0]}: {message}', file=sys.stderr)
  jax = sys.modules.get('jax')
  if jax is not None and jax.distributed.is_initialized():
    # An orderly end would wait for the others, who wait for this process.
    sys.stderr.flush()
    os._exit(status)
  sys.exit(status)
