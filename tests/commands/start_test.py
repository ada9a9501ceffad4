"""Commands answer before they import what takes long."""

import subprocess
import sys

import pytest

from semgcn_jax.commands import entry

_HEAVY = ('jax', 'flax', 'orbax', 'scipy', 'matplotlib', 'rich')
_PROGRAM = """
import sys
from semgcn_jax.commands.running import run_command
status = 0
for command, *flags in {calls!r}:
  status |= run_command(command, [command, *flags])
print(sorted(set(sys.modules) & set({heavy!r})), file=sys.stderr)
sys.exit(status)
"""


def answer(*calls):
  """Runs commands in one process; gives its status, output and errors."""
  program = _PROGRAM.format(calls=calls, heavy=_HEAVY)
  done = subprocess.run(
    [sys.executable, '-c', program],
    capture_output=True,
    text=True,
    timeout=300,
  )
  *errors, loaded = done.stderr.splitlines()
  assert loaded == '[]'
  return done.returncode, done.stdout, errors


def test_help_does_not_wait():
  names = (*entry.COMMANDS, *entry.LOOKS_AFTER)
  status, out, errors = answer(*((name, '--help') for name in names))
  assert (status, errors) == (0, [])
  assert out.count('Usage: ') == len(names)


@pytest.mark.parametrize(
  ('call', 'status', 'message'),
  [
    (('predict', '--outptu=a.html'), 2, "line flag 'outptu'. Did you mean"),
    (('predict', '--output=a.htm'), 2, '--output=a.htm: must end with'),
    (('predict', '--smooth=a'), 2, '--smooth=a: choose from none, one_euro'),
    (('predict', '--height=30'), 2, '--height=30.0: must be from 0.3 to 3'),
    (('predict', '--pitch=90'), 2, '--pitch=90.0: must be from -89 to 89'),
    (('predict', '--solve_without=feet'), 2, '--solve_without=feet: choose'),
    (('predict', '--checkpoint=cmuu'), 1, 'cmuu: is neither a run folder'),
    (('predict', '--formats=htm', '--output=./'), 2, '--formats=htm: choose'),
    (('predict', '--video=a.mp4'), 1, 'a.mp4: no such file or folder'),
    (('view', '--poses=a.json'), 1, 'a.json: no such file or folder'),
    (('train', '--epochs=-1'), 2, '--epochs=-1: must be'),
    (('predict', '--cutoff=2'), 2, '--cutoff: has no meaning without --smooth'),
    (('predict', '--video='), 2, '--video: is empty; name a file'),
    (('export', '--checkpoint=cmu', '--output=.'), 2, 'exists; name a new'),
    (('train', '--preset=cmu_bset'), 2, 'cmu_best'),
    (('train', '--preset=cmu_best', '--conv=a'), 2, '--conv=a: choose from'),
    (('evaluate', '--checkpoint=runs/no'), 1, 'runs/no: is neither'),
    (('export', '--checkpoint=cmu', '--output=a.onx'), 2, 'a.onx: end the'),
    (('reproduce', '--preset=synthetic,cm'), 2, '--preset=cm'),
    (('prepare_data', '--source=a.zip'), 1, 'a.zip: no such file or folder'),
    (('show_learned', '--checkpoint=cmu'), 2, '--output_dir: name a folder'),
  ],
)
def test_a_typo_does_not_wait(call, status, message, tmp_path):
  if call[0] in ('predict', 'view') and not any('--output' in c for c in call):
    call += (f'--output={tmp_path}/a.html',)
  if call[0] == 'predict' and not any('--video' in c for c in call):
    call += (f'--image={__file__}',)
  code, out, errors = answer(call)
  assert (code, out) == (status, '')
  assert len(errors) == 1 and message in errors[0]
