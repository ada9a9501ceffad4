"""Runs the commands as users call them."""

import contextlib
import io
import signal
import subprocess
import sys

from conftest import ROOT

from semgcn_jax.commands.running import run_command

SCRIPTS = ROOT / 'experiments'

# A shell starts jobs in the background with Ctrl-C ignored, and commands would
# inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)


def run(command, *flags):
  """Runs a command in this process, which is much faster.

  Returns:
    Its exit status, its output, and what it wrote to standard error.
  """
  out, err = io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    status = run_command(
      command, [f'experiments/{command}.py', *map(str, flags)]
    )
  return status, out.getvalue(), err.getvalue()


def fails(command, *flags, status, message):
  """Asserts that a command ends with one line of error."""
  code, out, err = run(command, *flags)
  assert code == status, err
  assert len(err.strip().splitlines()) == 1, err
  assert message in err


def start(command, *flags, before=(), **options):
  """Starts a command as a process, for tests of what only a process does."""
  return subprocess.Popen(
    [*before, sys.executable, SCRIPTS / f'{command}.py', *map(str, flags)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **options,
  )
