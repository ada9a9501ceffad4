"""Starts commands, so that Ctrl-C ends them with one line at any time.

`semgcn COMMAND --flag=value ...` is the same as `semgcn-COMMAND --flag=value
...`, and has two more commands, which only look after the installation.

Importing JAX takes seconds. Until then, and again at the very end, the handlers
of this module end the process; in between, `running.run` cleans up.
"""

import contextlib
import difflib
import functools
import gc
import os
import pathlib
import signal
import sys
from typing import NoReturn

# What each command does.
COMMANDS = {
  'predict': 'Lift people or hands in keypoints, pictures or videos to 3D.',
  'view': 'Show lifted poses, or the test poses of a run.',
  'train': 'Train a network, and score it after every epoch.',
  'evaluate': 'Score a trained network.',
  'prepare_data': 'Make data files from downloads, or check them.',
  'export': 'Write a network as weights, ONNX or StableHLO.',
  'demo': 'Write a page in which one drags keypoints.',
  'reproduce': "Retrain and score the methods of the paper's tables.",
  'show_learned': 'Draw what a network has learned.',
  'convert_torch': 'Convert checkpoints of the released PyTorch code.',
  'benchmark': 'Measure speed and memory.',
}
LOOKS_AFTER = {
  'doctor': 'Say what is installed, what works, and why the rest does not.',
  'completion': 'Print a script that completes commands and flags in a shell.',
}

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
  # Tracing makes many objects that stay; by default, they are looked through
  # every few hundred.
  gc.set_threshold(10_000, 20, 20)
  from semgcn_jax.commands.running import run_command

  status = run_command(command)
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


def semgcn() -> NoReturn:
  """Runs the command that the first argument names."""
  program = pathlib.PurePath(sys.argv[0]).name
  program = 'python -m semgcn_jax' if program == '__main__.py' else program
  name, *rest = sys.argv[1:] or ['--help']
  if name in ('--help', '-h', 'help'):
    with contextlib.suppress(BrokenPipeError):  # Such as `| head`.
      os.write(1, _help(program).encode())
    sys.exit()
  if name == '--version':
    name, rest = 'doctor', ['--version']
  known = {command.replace('_', '-'): command for command in _every()}
  command = known.get(name.replace('_', '-'))
  if command is None:
    close = difflib.get_close_matches(name, known, n=1)
    advice = f'did you mean {close[0]}?' if close else f'see {program} --help'
    print(
      f'{program}: {ascii(name)[1:-1]}: no command; {advice}', file=sys.stderr
    )
    sys.exit(2)
  sys.argv = [f'{program} {command.replace("_", "-")}', *rest]
  start(command)


def _every() -> dict[str, str]:
  return COMMANDS | LOOKS_AFTER


def _help(program: str) -> str:
  """Lists the commands."""
  names = {name.replace('_', '-'): text for name, text in _every().items()}
  width = max(map(len, names))
  lines = [f'  {name:{width}}  {text}' for name, text in names.items()]
  return '\n'.join(
    [
      'Semantic Graph Convolutional Networks: 2D joints to 3D poses.',
      '',
      f'Usage: {program} COMMAND [--flag=value ...]',
      '',
      *lines,
      '',
      f'{program} COMMAND --help lists the flags; {program} --version shows the'
      ' versions.',
      '',
    ]
  )
