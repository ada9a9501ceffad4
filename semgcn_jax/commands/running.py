"""Runs a command: flags in, exit status out, a user's mistake in one line."""

import contextlib
import logging
import os
import pathlib
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags

from semgcn_jax.commands.flags import UsageError, format_help, parse
from semgcn_jax.errors import SettingError, UserError


def run(
  description: str | None,
  define_flags: Callable[[flags.FlagValues], None],
  command: Callable[[flags.FlagValues], None],
  argv: Sequence[str] | None,
) -> int:
  """Runs a command.

  Args:
    description: What --help says first.
    define_flags: Defines the flags of the command.
    command: Does the work, given the flags.
    argv: The command line, argv[0] the program; None takes that of the process.

  Returns:
    The exit status: 0, 1 for a mistake in a file, 2 for one in a flag, 130
    after Ctrl-C.
  """
  argv = sys.argv if argv is None else argv
  values = flags.FlagValues()
  define_flags(values)
  try:
    parse(values, argv)
    if values.help:
      print(format_help(values, description or '', program_name(argv[0])))
      return 0
    with _prepared():
      command(values)
  except UsageError as error:
    return _fail(argv[0], str(error), 2)
  except UserError as error:
    status = 2 if isinstance(error, SettingError) else 1
    return _fail(argv[0], with_dashes(str(error), values), status)
  except KeyboardInterrupt:
    return _fail(argv[0], 'interrupted', 130)
  return 0


def program_name(program: str) -> str:
  """Spells how a program is called, such as `python experiments/train.py`."""
  name = pathlib.PurePath(program).name
  return f'python experiments/{name}' if name.endswith('.py') else name


def with_dashes(message: str, values: flags.FlagValues) -> str:
  """Spells the settings that a message names as flags.

  The library writes `epochs=0`, in backquotes. The user of a command reads
  --epochs=0.
  """

  def spell(match):
    return f'--{match[1]}{match[2]}' if match[1] in values else match[0]

  return re.sub(r'`(\w+)(=[^`]*)?`', spell, message)


def use_compilation_cache(values: flags.FlagValues) -> None:
  """Keeps compiled programs for the next start, as --compilation_cache says.

  JAX's own variable JAX_COMPILATION_CACHE_DIR comes first.
  """
  folder = values.compilation_cache
  if not folder or 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError as error:
    if values['compilation_cache'].using_default_value:
      return  # It is only for speed.
    raise SettingError(
      f'`compilation_cache={folder}`: {error.strerror}; name another folder'
    ) from error
  import jax  # Commands that compile nothing do not wait for it.

  jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)


def join_processes(values: flags.FlagValues) -> None:
  """Makes this one of several processes, if the flags say so."""
  by_hand = values.coordinator, values.num_processes, values.process_id
  if any(value is not None for value in by_hand):
    if None in by_hand:
      raise SettingError(
        '`coordinator`, `num_processes`, `process_id`: give all three, or'
        ' `distributed` alone'
      )
    if values.process_id >= values.num_processes:
      raise SettingError(
        f'`process_id={values.process_id}`: must be below `num_processes`,'
        f' {values.num_processes}'
      )
  elif not values.distributed:
    return
  from semgcn_jax.training import processes  # Commands without jax are faster.

  processes.join(*by_hand)


@contextlib.contextmanager
def _prepared() -> Iterator[None]:
  """Sets what a command needs of its process, and puts it back after."""
  # JAX would take most of a GPU at once, and up to 2 GB of the host for that.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  # jax and orbax tell every step; what matters reaches the user otherwise.
  absl_logger, own_logger = (
    logging.getLogger(name) for name in ('absl', 'semgcn_jax')
  )
  level, hook = absl_logger.level, sys.unraisablehook
  handler = logging.StreamHandler()
  handler.setFormatter(logging.Formatter('note: %(message)s'))
  own_logger.addHandler(handler)
  absl_logger.setLevel(logging.ERROR)
  sys.unraisablehook = _quiet_hook
  in_main = threading.current_thread() is threading.main_thread()
  # A terminated command cleans up as an interrupted one does.
  previous = (
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if in_main
    else None
  )
  try:
    yield
  finally:
    if in_main:
      signal.signal(signal.SIGTERM, previous)
    sys.unraisablehook = hook
    absl_logger.setLevel(level)
    own_logger.removeHandler(handler)


def _quiet_hook(unraisable: Any) -> None:
  """Silences the reads that go on when one array of a checkpoint is damaged."""
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)


def _fail(program: str, message: str, status: int) -> int:
  """Prints a line of error; returns the status, or ends a process of many."""
  sys.stdout.flush()
  print(f'{program}: {message}', file=sys.stderr)
  jax = sys.modules.get('jax')
  if jax is not None and jax.distributed.is_initialized():
    # An orderly end would wait for the others, who wait for this process.
    sys.stderr.flush()
    os._exit(status)
  return status
