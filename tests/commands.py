"""Runs the commands as users call them."""

import signal
import subprocess
import sys

from conftest import ROOT

# A shell starts jobs in the background with Ctrl-C ignored, and commands would
# inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)


def start(command, *flags, before=(), **options):
  return subprocess.Popen(
    [*before, sys.executable, f'experiments/{command}.py', *map(str, flags)],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **options,
  )


def run(command, *flags):
  process = start(command, *flags)
  out, err = process.communicate(timeout=300)
  return process.returncode, out, err


def fails(command, *flags, status, message):
  """Asserts that a command ends with one line, without a traceback."""
  code, out, err = run(command, *flags)
  assert code == status, err
  assert 'Traceback' not in out + err
  assert len(err.strip().splitlines()) == 1, err
  assert message in err
