"""Where a command begins, so that Ctrl-C ends it in one line at any time.

JAX takes seconds to be imported. Until then, and again at the very end, the
handlers of this module end the process; between, `running.run` cleans up.
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
  """Runs a command, and ends the process with its exit status.

  Args:
    command: The name of its module in this package.
  """
  for number in STATUS:
    # A shell starts what runs in the background with Ctrl-C ignored.
    if signal.getsignal(number) is not signal.SIG_IGN:
      signal.signal(number, _end)
  main = importlib.import_module(f'semgcn_jax.commands.{command}').main
  status = main()
  if status:
    # All is cleaned up. An orderly end would wait for what is being compiled or
    # saved, crash with it, or print what has failed there once more.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
  sys.exit(status)


def _end(number: int, frame: object) -> NoReturn:
  """Ends the process here and now."""
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
