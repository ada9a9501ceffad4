"""The command `semgcn`, which has all others in it."""

import importlib.metadata
import shutil
import subprocess
import sys

import pytest
from command_line import fails, run

import semgcn_jax
from semgcn_jax.commands import doctor, entry
from semgcn_jax.config import Config


def semgcn(*arguments, **options):
  """Runs `python -m semgcn_jax` as a process."""
  return subprocess.run(
    [sys.executable, '-m', 'semgcn_jax', *arguments],
    capture_output=True,
    text=True,
    timeout=300,
    **options,
  )


def test_it_lists_the_commands():
  for arguments in ((), ('--help',), ('-h',)):
    done = semgcn(*arguments)
    assert (done.returncode, done.stderr) == (0, '')
    for name, text in (entry.COMMANDS | entry.LOOKS_AFTER).items():
      assert f'{name.replace("_", "-")} ' in done.stdout
      assert text in done.stdout


@pytest.mark.parametrize(
  'name, advice',
  [
    ('pretict', 'did you mean predict?'),
    ('prepare', 'did you mean prepare-data?'),
    ('xyzzy', 'see python -m semgcn_jax --help'),
    ('a\nb', 'see python -m semgcn_jax --help'),
    ('--bad', 'see python -m semgcn_jax --help'),
  ],
)
def test_a_typo_is_told_in_a_line(name, advice):
  done = semgcn(name)
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr.endswith(f': no command; {advice}\n')
  assert done.stderr.count('\n') == 1


@pytest.mark.slow
def test_a_command_runs_by_any_spelling(tmp_path):
  for name in ('convert-torch', 'convert_torch'):
    done = semgcn(name, '--nothing=1', cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith('python -m semgcn_jax convert-torch: ')
  done = semgcn('view', '--help')
  assert 'Usage: python -m semgcn_jax view [--flag=value ...]' in done.stdout


@pytest.mark.slow
def test_the_version_names_jax_and_its_devices():
  done = semgcn('--version')
  own, jax = done.stdout.splitlines()
  assert own.startswith(f'semgcn-jax {semgcn_jax.__version__}, Python 3.')
  version = importlib.metadata.version('jax')
  assert jax == f'JAX {version}: 4 x cpu (cpu)'  # The tests simulate four.


@pytest.fixture
def examined(monkeypatch):
  """Tells the doctor which packages there are, and what each program says."""
  monkeypatch.setattr(
    doctor, '_extras', lambda: {'c3d': ['ezc3d'], 'pose': ['mediapipe']}
  )
  versions = {'ezc3d': '1.5', 'jax': '0.10'}
  monkeypatch.setattr(doctor, '_version', versions.get)
  failing = {}
  monkeypatch.setattr(
    doctor, '_output', lambda code: failing.get(code, (True, '1 x cpu (cpu)'))
  )
  monkeypatch.setattr(doctor, '_modules', lambda packages: packages)
  return failing


def test_the_doctor_says_what_is_missing(examined):
  del examined
  code, out, err = run('doctor')
  assert (code, err) == (0, '')
  assert 'JAX 0.10: 1 x cpu (cpu)\nbundled weights: work\n' in out
  assert 'extra c3d: works (ezc3d 1.5)' in out
  assert (
    'extra pose: not installed (no mediapipe); install it with pip install'
    ' "semgcn-jax[pose]"' in out
  )


def test_the_doctor_says_what_is_broken(examined):
  examined['import ezc3d'] = False, 'ImportError: no libezc3d.so'
  code, out, err = run('doctor')
  assert code == 1
  assert 'extra c3d: does not work: ImportError: no libezc3d.so' in out
  assert err.endswith('extra c3d: installed, but does not work\n')


def test_what_extras_need_is_read_from_the_package():
  extras = doctor._extras()
  assert extras['c3d'] == ['ezc3d'] and extras['live'] == ['python-osc']
  assert 'mediapipe' in extras['pose'] and 'dev' not in extras
  # Of jax[cuda], not jax, which every installation has.
  assert extras['cuda'] and 'jax' not in extras['cuda']
  assert 'numpy' in doctor._modules(['NumPy'])


def test_broken_programs_are_told():
  assert doctor._output('print(1); print(2)') == (True, '2')
  works, reason = doctor._output('raise ImportError("no such thing")')
  assert not works and reason == 'ImportError: no such thing'
  works, reason = doctor._output('import os; os.abort()')
  assert not works and reason == 'it ends with signal 6'


def test_flags_are_completed(tmp_path):
  bash = shutil.which('bash')
  if not bash:
    pytest.skip('needs bash')
  code, script, err = run('completion')
  assert (code, err) == (0, '')
  (tmp_path / 'semgcn.bash').write_text(script)

  def completed(*words):
    program = (
      f'source {tmp_path}/semgcn.bash; COMP_WORDS=({" ".join(words)});'
      f' COMP_CWORD={len(words) - 1}; _semgcn; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run([bash, '-c', program], capture_output=True, text=True)
    assert done.stderr == ''
    return done.stdout.split()

  assert completed('semgcn', 'pre') == ['predict', 'prepare-data']
  assert completed('semgcn', 'predict', '--ima') == [
    '--image=',
    '--image_size=',
  ]
  known = {flag.strip('-=') for flag in completed('semgcn', 'train', '--')}
  assert {*Config().flat()} <= known
  assert '--shell=' in completed('semgcn', 'completion', '--')


def test_other_shells():
  code, script, _ = run('completion', '--shell=zsh')
  assert code == 0 and 'bashcompinit' in script.splitlines()[0]
  code, script, _ = run('completion', '--shell=fish')
  lines = script.splitlines()
  assert code == 0 and all(
    line.startswith('complete -c semgcn ') for line in lines
  )
  assert any('-l hid_dim -r' in line for line in lines)
  assert all(line.count("'") % 2 == 0 for line in lines if '\\' not in line)
  fails(
    'completion',
    '--shell=tcsh',
    status=2,
    message='choose from bash, zsh, fish',
  )
