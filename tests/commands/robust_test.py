"""What commands do with what they are not meant for."""

import contextlib
import io
import logging
import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from asf_files import AMC, ASF
from command_line import SCRIPTS, fails, run, start
from detections import as_coco, people, write
from h36m_files import zip_of

from semgcn_jax.commands import running
from semgcn_jax.commands.caching import use_compilation_cache
from semgcn_jax.commands.flags.shared import CacheFlags
from semgcn_jax.commands.parsing import Flags
from semgcn_jax.data import npz
from semgcn_jax.errors import UserError


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (
      ['--hid_dim=2147483647'],
      '--hid_dim=2147483647: must be from 1 to 16,384',
    ),
    (['--num_seeds=1000000'], '--num_seeds=1000000: must be from 1 to 1,024'),
    (['--num_layers=1000'], '--num_layers=1000: must be from 0 to 100'),
    (['--hid_dim=16384', '--num_layers=100'], 'above the limit of 1e+09'),
    (['--train_subjects=,'], '--train_subjects: has an empty name'),
    (
      ['--coordinator=', '--num_processes=2', '--process_id=0'],
      '--coordinator=: must be host:port',
    ),
    (
      ['--coordinator=host', '--num_processes=2', '--process_id=0'],
      '--coordinator=host: must be host:port',
    ),
    *(
      (
        [f'--coordinator=host:{port}', '--num_processes=2', '--process_id=0'],
        'a port from 1 to 65535',
      )
      for port in (0, 99999)
    ),
    (['--data_dir=a\nb', '--dataset=cmu'], 'a b/data_3d_cmu.npz: no such file'),
  ],
)
def test_one_line(tmp_path, flags, message):
  status = 1 if 'no such file' in message else 2
  fails('train', *flags, f'--workdir={tmp_path}/run', status=status,
        message=message)  # fmt: skip
  assert not (tmp_path / 'run').exists()


def test_the_home_folder_in_a_path(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  fails('train', '--dataset=cmu', '--data_dir=~/poses', status=1,
        message=f'{tmp_path}/poses/data_3d_cmu.npz: no such file')  # fmt: skip


def test_a_report_is_not_written_among_other_files(tmp_path):
  (tmp_path / 'letter.txt').write_text('dear')
  fails('reproduce', '--tables=1', f'--workdir={tmp_path}', status=2,
        message='holds something other than runs')  # fmt: skip
  assert [p.name for p in tmp_path.iterdir()] == ['letter.txt']


def test_scores_do_not_replace_a_file_of_a_run(tmp_path):
  for name in ('config.json', 'skeleton.json'):
    (tmp_path / name).write_text('{}')
  for flag in ('output', 'figure'):
    fails('evaluate', f'--checkpoint={tmp_path}',
          f'--{flag}={tmp_path}/skeleton.json', status=2,
          message='would replace a file of the run')  # fmt: skip
  assert (tmp_path / 'skeleton.json').read_text() == '{}'


def test_a_note_is_printed_once():
  """Also where the root has a handler, as absl's logging gives it one."""
  root, repeated = logging.getLogger(), io.StringIO()
  handler, err = logging.StreamHandler(repeated), io.StringIO()

  def command(_):
    logging.getLogger('semgcn_jax').warning('a tree fell')

  root.addHandler(handler)
  try:
    with contextlib.redirect_stderr(err):
      assert running.run('Falls.', lambda: command, Flags, ['fall.py']) == 0
    assert (err.getvalue(), repeated.getvalue()) == ('note: a tree fell\n', '')
    command(None)  # A program that calls the library handles its notes itself.
    assert repeated.getvalue() == 'a tree fell\n'
  finally:
    root.removeHandler(handler)


def test_nobody_reads_the_output():
  command = f'{sys.executable} {SCRIPTS}/train.py --help | head -1'
  ended = subprocess.run(
    ['bash', '-c', f'{command}; echo ${{PIPESTATUS[0]}}'],
    capture_output=True,
    text=True,
  )
  assert ended.stderr == ''
  assert ended.stdout.splitlines()[-1] in ('0', '141')


@pytest.mark.skipif(
  not os.path.exists('/dev/full'), reason='needs the device /dev/full'
)
def test_there_is_no_room_for_the_output():
  with open('/dev/full', 'w') as full:
    ended = subprocess.run(
      [sys.executable, SCRIPTS / 'train.py', '--help'],
      stdout=full, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
  assert ended.returncode == 1
  [line] = ended.stderr.splitlines()
  assert 'cannot write the output (No space left on device)' in line


def test_a_cache_that_cannot_be_written_gives_no_warning():
  with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter('always')
    use_compilation_cache(CacheFlags(compilation_cache=''))
    warnings.warn('Error writing persistent compilation cache entry for x',
                  stacklevel=1)  # fmt: skip
    warnings.warn('something else', stacklevel=1)
  assert [str(warning.message) for warning in told] == ['something else']


@pytest.mark.parametrize('name', ['config.json', 'data_3d_cmu.npz'])
def test_pipes_and_devices_are_not_read(tmp_path, name):
  """To open a pipe waits for a writer, and /dev/zero never ends."""
  for make in (os.mkfifo, lambda path: os.symlink('/dev/zero', path)):
    path = tmp_path / name
    path.unlink(missing_ok=True)
    make(path)
    if name == 'config.json':
      fails('evaluate', f'--checkpoint={tmp_path}', status=1,
            message='config.json: Not a plain file')  # fmt: skip
    else:
      with pytest.raises(UserError, match='Not a plain file'):
        npz.read_poses_3d(path)


def test_what_unpacks_to_too_much(tmp_path):
  path = tmp_path / 'data_3d_a.npz'
  np.savez_compressed(path, positions_3d=np.zeros(2**28, np.uint8))
  assert path.stat().st_size < 2**19
  with pytest.raises(UserError, match='would unpack to more than'):
    npz.read_poses_3d(path)


def test_deep_or_odd_configs_are_one_line(tmp_path):
  path = tmp_path / 'config.json'
  for content in (
    '[' * 10**5, '{"epochs": {"a": 1}}', '{"epochs": 1e999}', '[]', '3',
    '{"train_subjects": [["S1"]]}', '{"hid_dim": true}',
  ):  # fmt: skip
    path.write_text(content)
    fails('evaluate', f'--checkpoint={tmp_path}', status=1,
          message='config.json: not the config of a run')  # fmt: skip


@pytest.mark.slow
def test_a_killed_conversion_leaves_no_processes(tmp_path):
  source = tmp_path / 'source' / 'subjects' / '01'
  source.mkdir(parents=True)
  (source / '01.asf').write_text(ASF)
  frames = ''.join(
    f'{i}\n' + AMC.split('\n1\n')[1].split('\n2\n')[0] + '\n'
    for i in range(1, 200_000)
  )
  head = AMC.split('\n1\n')[0] + '\n'
  for clip in range(1, 5):
    (source / f'01_{clip:02d}.amc').write_text(head + frames)
  zip_of(tmp_path / 'source', tmp_path / 'cmu.zip')
  out = tmp_path / 'data'
  flags = (f'--source={tmp_path / "cmu.zip"}', f'--output_dir={out}')
  process = start('prepare_data', *flags, '--clips=all', start_new_session=True)
  assert process.stdout.readline().startswith('unpacking')
  assert process.stdout.readline().startswith('converting')
  time.sleep(1)
  process.kill()
  process.wait()
  for _ in range(100):
    left = subprocess.run(['pgrep', '-g', str(process.pid)]).returncode == 0
    if not left:
      break
    time.sleep(0.1)
  assert not left
  assert list(out.glob('.unpacked-*'))
  # The next conversion removes what was left.
  write(tmp_path / 'next' / 'S1' / 'Walk.0.json', as_coco(people(4, 17)))
  code, _, err = run('prepare_data', f'--source={tmp_path / "next"}',
                     f'--output_dir={out}', '--detections_name=a')  # fmt: skip
  assert code == 0, err
  assert not list(out.glob('.unpacked-*'))


def predicted(flags, **environment):
  """Runs predict.py as a process, on people who are drawn in no time."""
  command = [sys.executable, str(SCRIPTS / 'predict.py'), *map(str, flags)]
  return subprocess.run(
    command, env=os.environ | environment, capture_output=True, text=True
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ('environment', 'status'),
  [
    ({'PYTHONIOENCODING': 'ascii'}, 0),
    ({'MPLBACKEND': 'module://no_such_backend'}, 0),
    ({'JAX_PLATFORMS': 'tpu'}, 1),
    ({'JAX_PLATFORMS': 'nothing'}, 1),
  ],
)
def test_odd_environments(tmp_path, environment, status):
  path = write(tmp_path / 'ä.json', as_coco(people(4, 17)))
  flags = (f'--detections={path}', '--image_size=640x480', '--check=false')
  output = tmp_path / 'a.html'
  done = predicted((*flags, f'--output={output}'), **environment)
  assert done.returncode == status, done.stderr
  assert output.exists() == (status == 0)
  assert 'Traceback' not in done.stderr
  if status:
    assert done.stderr.count('\n') == 1 and 'JAX_PLATFORMS=' in done.stderr


@pytest.mark.slow
def test_a_closed_output(tmp_path):
  path = write(tmp_path / 'a.json', as_coco(people(4, 17)))
  flags = (
    *(f'--detections={path}', '--image_size=640x480', '--check=false'),
    f'--output={tmp_path / "b.json"}',
  )
  command = [sys.executable, str(SCRIPTS / 'predict.py'), *flags]
  script = 'exec "$@" >&-'
  done = subprocess.run(
    ['bash', '-c', script, 'bash', *command], capture_output=True, text=True
  )
  assert (done.returncode, done.stderr) == (0, '')
  assert (tmp_path / 'b.json').exists()


def test_paths_that_cannot_be(tmp_path):
  path = write(tmp_path / 'a.json', as_coco(people(4, 17)))
  loop = tmp_path / 'loop.json'
  loop.symlink_to(loop)
  for output, message in (
    (loop, 'Too many levels of symbolic links'),
    (tmp_path / f'{"x" * 300}.json', 'File name too long'),
  ):
    fails('predict', f'--detections={path}', '--image_size=640x480',
          f'--output={output}', status=2, message=message)  # fmt: skip
  name = tmp_path / f'{"x" * 300}.json'
  fails('predict', f'--detections={name}', '--image_size=640x480',
        f'--output={tmp_path / "b.json"}', status=1,
        message='File name too long')  # fmt: skip


def test_names_never_move_the_cursor(tmp_path):
  path = tmp_path / '\x1b[31mred.json'
  fails('predict', f'--detections={path}', '--image_size=640x480',
        f'--output={tmp_path / "b.json"}', status=1,
        message='\\x1b[31mred.json: no such file')  # fmt: skip
