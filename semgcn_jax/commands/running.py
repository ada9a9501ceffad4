"""Runs a command, from its flags to its exit status.

A user's mistake ends it with a one-line message instead of a traceback.
"""

import contextlib
import errno
import gc
import importlib
import importlib.metadata
import io
import logging
import os
import pathlib
import re
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from semgcn_jax.commands import parsing
from semgcn_jax.commands.entry import STATUS
from semgcn_jax.commands.flags.shared import CacheFlags
from semgcn_jax.errors import SettingError, Terminated, UserError, printable

# The errors of printing to a full disk.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_REPEAT_SECONDS = 3.0  # Until a signal that was lost is repeated.


def run_command(name: str, argv: Sequence[str] | None = None) -> int:
  """Runs the command in the module of this name; see `run`."""
  own = importlib.import_module(f'semgcn_jax.commands.flags.{name}')

  def load():
    # From here on, JAX is imported, and whatever else takes long.
    command = importlib.import_module(f'semgcn_jax.commands.{name}').main
    gc.freeze()  # What is imported stays, and need not be looked through.
    return command

  return run(own.__doc__, load, own.Flags, argv)


def run(
  description: str | None,
  load: Callable[[], Callable[[parsing.F], None]],
  kind: type[parsing.F],
  argv: Sequence[str] | None = None,
) -> int:
  """Runs a command.

  Args:
    description: The first sentences of --help.
    load: Imports what does the work, given the flags; that raises a
      SettingError for a wrong flag, and a UserError for a damaged or unusable
      file.
    kind: The flags of the command.
    argv: The command line; None takes that of the process.

  Returns:
    The exit status: 0, 1 for a mistake in a file, 2 for one in a flag, 130
    after Ctrl-C, 143 after SIGTERM, 141 if the output pipe was closed.
  """
  argv = sys.argv if argv is None else argv
  _open_outputs()
  values = parsing.define(kind)
  try:
    parsing.parse(kind, values, argv)
    program = program_name(argv[0])
    if values.help:
      text = parsing.format_help(kind, values, description or '', program)
      print(text)
    else:
      with _reporting():
        flags = parsing.read(kind, values, program)
        flags.validate()
        # Until all is imported, the handlers of `entry` end the process:
        # modules of C lose the exceptions of others.
        command = load()
        if isinstance(flags, CacheFlags):
          from semgcn_jax.commands.caching import use_compilation_cache

          use_compilation_cache(flags)
        with _ended_by_signals():
          command(flags)
    sys.stdout.flush()
  except parsing.UsageError as error:
    return _fail(argv[0], str(error), 2)
  except UserError as error:
    status = 2 if isinstance(error, SettingError) else 1
    return _fail(argv[0], with_dashes(str(error)), status)
  except Terminated as error:
    return _fail(argv[0], str(error) or 'terminated', STATUS[signal.SIGTERM])
  except KeyboardInterrupt:
    return _fail(argv[0], 'interrupted', STATUS[signal.SIGINT])
  except BrokenPipeError:  # Such as `| head`.
    _discard_output()
    return 141
  except (AssertionError, RuntimeError):
    if not _lacks_platform():
      raise
    message = (
      f'JAX_PLATFORMS={os.environ.get("JAX_PLATFORMS")}: JAX finds no such'
      ' device, or is installed without its support; unset it, or set it to cpu'
    )
    return _fail(argv[0], message, 1)
  except OSError as error:
    # Errors of files have a filename; those of the output do not.
    if error.filename is not None:
      return _fail(argv[0], f'{error.filename}: {error.strerror}', 1)
    if error.errno not in _FULL:
      raise
    _discard_output()
    message = f'cannot write the output ({error.strerror}); free some space'
    return _fail(argv[0], message, 1)
  return 0


def _lacks_platform() -> bool:
  """Whether JAX cannot use the devices that JAX_PLATFORMS names."""
  if not os.environ.get('JAX_PLATFORMS'):
    return False
  import jax

  try:
    return not jax.devices()
  except (AssertionError, RuntimeError):
    return True


def _open_outputs() -> None:
  """Lets anything be printed, also where nobody reads it."""
  for name in ('stdout', 'stderr'):
    stream = getattr(sys, name)
    if stream is None:  # It was closed when the process started.
      setattr(sys, name, open(os.devnull, 'w'))
    elif isinstance(stream, io.TextIOWrapper):
      # A terminal may not know ° or the letters of a name.
      stream.reconfigure(errors='replace')


def _discard_output() -> None:
  """Discards unwritten output, which would raise again at exit."""
  with open(os.devnull, 'w') as nowhere, contextlib.suppress(OSError):
    os.dup2(nowhere.fileno(), sys.stdout.fileno())


def program_name(program: str) -> str:
  """Formats how to call a program, such as `python experiments/train.py`."""
  name = pathlib.PurePath(program).name
  return f'python experiments/{name}' if name.endswith('.py') else name


def with_dashes(message: str) -> str:
  """Rewrites the settings in a message, such as `epochs=0`, as --epochs=0."""
  return re.sub(r'`(\w+(?:=[^`]*)?)`', r'--\1', message)


class _NoteFormatter(logging.Formatter):
  """Formats a record as one printable line."""

  def format(self, record: logging.LogRecord) -> str:
    return printable(f'note: {record.getMessage()}')


def overlap_gpu_kernels() -> None:
  """Lets kernels of a CUDA graph that do not need each other run at once.

  This must precede any use of a device. Training steps are 3 to 14% shorter;
  single predictions are not, so only commands that train call this.
  """
  flag = '--xla_gpu_command_buffer_scheduling_mode'
  flags = os.environ.get('XLA_FLAGS', '').strip()
  names_a_file = flags and not flags.startswith('-')
  if names_a_file or flag in flags:
    return
  # XLA ends the process at a flag that it does not know.
  if (0, 10) <= _cuda_plugin_version() < (0, 13):
    os.environ['XLA_FLAGS'] = f'{flags} {flag}=CONCURRENT'.lstrip()


def _cuda_plugin_version() -> tuple[int, ...]:
  """Returns the version of JAX's plugin for CUDA; empty without one."""
  for cuda in ('cuda13', 'cuda12'):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      version = importlib.metadata.version(f'jax-{cuda}-plugin')
      return tuple(map(int, re.findall(r'\d+', version)[:2]))
  return ()


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
  """Sets up the process for a command, and restores it at the end."""
  # JAX would preallocate most of a GPU, and up to 2 GB of the host for that.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  # JAX and Orbax log every step through absl. This package reports what matters
  # itself, as exceptions and through its own logger.
  own_logger = logging.getLogger('semgcn_jax')
  handler = logging.StreamHandler()
  handler.setFormatter(_NoteFormatter())
  with contextlib.ExitStack() as undo:
    own_logger.addHandler(handler)
    undo.callback(own_logger.removeHandler, handler)
    # Importing absl's logging gives the root logger a handler, which would
    # repeat the notes.
    undo.callback(setattr, own_logger, 'propagate', own_logger.propagate)
    own_logger.propagate = False
    for logger in map(logging.getLogger, ('absl', 'asyncio')):
      undo.callback(logger.setLevel, logger.level)
      logger.setLevel(logging.CRITICAL)
    undo.callback(setattr, sys, 'unraisablehook', sys.unraisablehook)
    sys.unraisablehook = _quiet_hook
    yield


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
  """Ends a command after SIGTERM, which cleans up like Ctrl-C.

  The exception of a handler is lost where it is raised in a callback of the
  garbage collector, or in a module of C that is being imported. A signal is
  repeated if its exception is gone before the command has ended.
  """
  ended, raised = threading.Event(), {}

  def repeat(number):
    while not ended.wait(_REPEAT_SECONDS):
      if raised[number]() is not None:  # The command cleans up.
        continue
      taken = signal.getsignal(number) is not handle
      os.kill(os.getpid(), number)
      if taken:  # By another handler, which loses nothing: it only takes note.
        return

  def handle(number, frame):
    del frame
    # A KeyboardInterrupt of Python itself has no weak references.
    error = Terminated() if number == signal.SIGTERM else _Interrupted()
    is_first = number not in raised
    raised[number] = weakref.ref(error)
    if is_first:
      threading.Thread(target=repeat, args=(number,), daemon=True).start()
    try:
      raise error
    finally:
      del error  # Its traceback has this frame, which would keep it.

  is_main = threading.current_thread() is threading.main_thread()
  with contextlib.ExitStack() as undo:
    for number in STATUS if is_main else ():
      if signal.getsignal(number) is not signal.SIG_IGN:
        undo.callback(signal.signal, number, signal.signal(number, handle))
    undo.callback(ended.set)
    yield


class _Interrupted(KeyboardInterrupt):
  """Ctrl-C was pressed."""


def _quiet_hook(unraisable: Any) -> None:
  """Hides what is known: interrupts, see above, and pending reads of orbax."""
  if (
    not isinstance(unraisable.exc_value, KeyboardInterrupt)
    and str(unraisable.exc_value) != 'Event loop is closed'
  ):
    sys.__unraisablehook__(unraisable)


def _fail(program: str, message: str, status: int) -> int:
  """Prints an error in one line, and returns the exit status.

  One of several processes exits immediately.
  """
  try:
    sys.stdout.flush()
  except OSError:  # The pipe is closed, or the disk full; the error goes first.
    _discard_output()
  # A name in the message may have a line break.
  line = printable(' '.join(message.splitlines()))
  print(f'{printable(program)}: {line}', file=sys.stderr)
  jax = sys.modules.get('jax')
  if jax is not None and jax.distributed.is_initialized():
    # A regular exit would wait for the others, which wait for this process.
    sys.stderr.flush()
    os._exit(status)
  return status
