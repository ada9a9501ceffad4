"""Starts commands, so that Ctrl-C ends them with one line at any time.

Importing JAX takes seconds. Until then, and again at the very end, the handlers
of this module end the process; in between, `running.run` cleans up.
"""

import functools
import importlib
import os
import signal
import sys
from typing import NoReturn

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
_WORD = {signal.SIGINT: 'interrupted', signal.SIGTERM: 'terminated'}


def start(command: str) -> NoReturn:
  """Runs the command in this module, and exits with its status."""
  for number in STATUS:
    # Shells start background jobs with Ctrl-C ignored.
    if signal.getsignal(number) is not signal.SIG_IGN:
      signal.signal(number, _end)
  # No figure is shown; Jupyter sets a backend that need not be installed.
  os.environ['MPLBACKEND'] = 'agg'
  main = importlib.import_module(f'semgcn_jax.commands.{command}').main
  status = main()
  if status:
    # Everything is cleaned up. A regular exit would wait for pending compiling
    # and saving, crash with it, or print its failures again.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
  sys.exit(status)


def _end(number: int, frame: object) -> NoReturn:
  """Ends the process immediately."""
  del frame
  number = signal.Signals(number)
  os.write(2, f'{sys.argv[0]}: {_WORD[number]}\n'.encode())
  os._exit(STATUS[number])


train = functools.partial(start, 'train')
evaluate = functools.partial(start, 'evaluate')
export = functools.partial(start, 'export')
predict = functools.partial(start, 'predict')
view = functools.partial(start, 'view')
demo = functools.partial(start, 'demo')
reproduce = functools.partial(start, 'reproduce')
prepare_data = functools.partial(start, 'prepare_data')
convert_torch = functools.partial(start, 'convert_torch')
show_learned = functools.partial(start, 'show_learned')
benchmark = functools.partial(start, 'benchmark')
