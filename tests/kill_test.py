"""Training that is killed at random moments, or has no room, loses nothing."""

import json
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import numpy as np
import pytest
from command_line import SCRIPTS, run, start

from semgcn_jax.runs.networks import restore_network

FLAGS = (
  *('--preset=synthetic', '--hid_dim=16', '--num_layers=1', '--epochs=8'),
  *('--chunk_steps=16', '--batch_size=64', '--downsample=4'),
)
KILLS = 10


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A run that nobody has stopped."""
  workdir = tmp_path_factory.mktemp('whole') / 'run'
  code, _, err = run('train', *FLAGS, f'--workdir={workdir}')
  assert code == 0, err
  return workdir


def assert_same(first, second):
  """Asserts that two runs have the same log and weights, bit by bit."""
  logs = []
  for workdir in (first, second):
    lines = (workdir / 'metrics.jsonl').read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
      del record['seconds'], record['poses_per_second']
    logs.append(records)
  assert logs[0] == logs[1] and len(logs[0]) == 8
  for averaged in (True, False):
    states = [
      restore_network(w, 'last', averaged=averaged).variables
      for w in (first, second)
    ]
    leaves = [_leaves(state) for state in states]
    assert leaves[0].keys() == leaves[1].keys()
    for name, leaf in leaves[0].items():
      np.testing.assert_array_equal(leaf, leaves[1][name], strict=True)


def _leaves(tree, prefix=''):
  if not isinstance(tree, dict):
    return {prefix: np.asarray(tree)}
  return {
    name: leaf
    for key, value in tree.items()
    for name, leaf in _leaves(value, f'{prefix}/{key}').items()
  }


@pytest.mark.slow
def test_kill_9_at_random_moments(whole, tmp_path, record_property):
  """In saves, too: a run of this size saves half of its time."""
  rng, kills = random.Random(0), 0
  workdir = tmp_path / 'run'
  for _ in range(KILLS):
    more = ('--resume',) if workdir.exists() else ()
    process = start('train', *FLAGS, f'--workdir={workdir}', *more)
    log = workdir / 'metrics.jsonl'
    size = log.stat().st_size if log.exists() else -1
    # The moment counts from when it trains, which takes a while.
    while process.poll() is None and (
      not log.exists() or log.stat().st_size <= size
    ):
      time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.4))
    process.kill()
    process.communicate()
    kills += process.returncode == -9
  record_property('kills', kills)
  assert kills >= 5
  code, _, err = run('train', f'--workdir={workdir}', '--resume')
  assert code == 0, err
  assert_same(whole, workdir)


@pytest.fixture
def small_disk(tmp_path):
  """A folder of 3 MB, with limits for its processes where it cannot be made.

  Yields:
    The folder, and what a process is to do before it starts.
  """
  folder = tempfile.mkdtemp(dir=tmp_path)
  made = subprocess.run(
    ['mount', '-t', 'tmpfs', '-o', 'size=900k', 'tmpfs', folder],
    capture_output=True,
  )
  if made.returncode == 0:
    yield folder, None
    subprocess.run(['umount', '-l', folder], check=True)
    return
  size = (20_000, resource.RLIM_INFINITY)
  yield folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, size)


@pytest.mark.slow
def test_a_full_disk(whole, tmp_path, small_disk):
  folder, limit = small_disk
  workdir = f'{folder}/run'
  process = start('train', *FLAGS, f'--workdir={workdir}', preexec_fn=limit)
  _, err = process.communicate(timeout=300)
  assert process.returncode == 1, err
  assert len(err.splitlines()) == 1, err
  assert 'cannot be written (' in err and 'continue with --resume' in err
  moved = tmp_path / 'moved'
  shutil.copytree(workdir, moved)
  code, _, err = run('train', *FLAGS, f'--workdir={moved}', '--resume')
  assert code == 0, err
  assert_same(whole, moved)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('number', 'status', 'word'),
  [('SIGINT', 130, 'interrupted'), ('SIGTERM', 143, 'terminated')],
)
def test_stopped_in_the_first_seconds(tmp_path, number, status, word):
  """From the first moment on there is one line, and the right status."""
  for delay in (0.1, 0.4, 1.0, 2.0, 4.0):
    # It must not have ended by itself until then.
    process = start(
      'train', *FLAGS, f'--workdir={tmp_path}/{delay}', '--epochs=1000'
    )
    time.sleep(delay)
    process.send_signal(signal.Signals[number])
    _, err = process.communicate(timeout=120)
    if process.returncode == 1 and 'commands/entry.py' not in err:
      continue  # Python itself was still starting; that moment is not ours.
    assert process.returncode in (status, -signal.Signals[number])
    if process.returncode == status:
      assert err == f'{SCRIPTS}/train.py: {word}\n'
    else:  # Python itself had not started yet.
      assert delay == 0.1
