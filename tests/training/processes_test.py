"""Several processes of one run, as users start them, on the CPU."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from conftest import FLAGS

from semgcn_jax import config
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import abstract_variables
from semgcn_jax.runs import checkpoints

TINY = (
  *('--hid_dim=4', '--num_layers=1', '--downsample=16', '--batch_size=8'),
  *('--chunk_steps=16', '--keep_checkpoints=100'),
)

# The command, with less patience for a process that has died.
_PROGRAM = """
from semgcn_jax.commands import entry
from semgcn_jax.training import processes
processes.HEARTBEAT_SECONDS = 10
entry.train()
"""


def start(workdir, *flags, devices=1, **variables):
  """A training process with so many simulated devices, and more variables."""
  count = f'--xla_force_host_platform_device_count={devices}'
  env = os.environ | {
    'JAX_PLATFORMS': 'cpu',
    'XLA_FLAGS': ' '.join([count, *FLAGS[1:]]),
    **variables,
  }
  command = [sys.executable, '-c', _PROGRAM]
  return subprocess.Popen(
    [*command, *TINY, f'--workdir={workdir}', *flags],
    env=env,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )


def start_two(workdir, *flags):
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  return [
    start(
      workdir,
      *flags,
      f'--coordinator=localhost:{port}',
      '--num_processes=2',
      f'--process_id={index}',
    )
    for index in range(2)
  ]


def finish(process):
  """Waits for a process; the limit only ends a test that hangs."""
  try:
    out, err = process.communicate(timeout=600)
  finally:
    process.kill()
  return process.returncode, out, err


def wait_for(process, start):
  """Reads what a process prints up to a line that starts so; returns it all."""
  lines = []
  for line in process.stdout:
    lines.append(line)
    if line.startswith(start):
      return ''.join(lines)
  raise AssertionError(process.stderr.read())


def variables(workdir: pathlib.Path):
  settings = config.load(workdir / 'config.json')
  abstract = abstract_variables(settings.model, H36M)
  return checkpoints.restore_variables(workdir, 'last', abstract)[0]


@pytest.mark.slow
def test_two_processes_survive_a_death_and_equal_one(tmp_path):
  two, one = tmp_path / 'two', tmp_path / 'one'
  # The noise is drawn by device, the same in either case.
  flags = ('--lr_schedule=staircase', '--noise=2')
  first, second = start_two(two, '--epochs=300', *flags)
  metrics = two / 'metrics.jsonl'
  # The log is at most one epoch ahead of the checkpoints.
  begun = wait_for(first, 'epoch 2/')
  second.send_signal(signal.SIGKILL)
  code, _, err = finish(first)
  # In an exchange of its own, or in one of JAX or orbax, which abort.
  words = {
    1: 'another process of the run has ended',
    -signal.SIGABRT: 'another task died',
  }
  assert words[code] in err
  assert 'on 2 cpu' in begun
  _, other_out, _ = finish(second)
  assert 'epoch' not in other_out  # The first process speaks for both.
  epochs = f'--epochs={metrics.read_text().count(chr(10)) + 1}'
  pair = start_two(two, epochs, *flags, '--resume')
  (code, out, err), (other_code, _, _) = map(finish, pair)
  assert code == other_code == 0, err
  assert 'resuming in epoch' in out
  code, _, err = finish(start(one, epochs, *flags, devices=2))
  assert code == 0, err
  assert len((one / 'metrics.jsonl').read_text().splitlines()) == len(
    metrics.read_text().splitlines()
  )
  for a, b in zip(
    *(jax.tree.leaves(variables(w)) for w in (two, one)), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_slurm_says_who_the_processes_are(tmp_path):
  shared = {'SLURM_JOB_ID': str(os.getpid()), 'SLURM_NTASKS': '2'}
  shared['SLURM_STEP_NODELIST'] = 'localhost'
  first, second = (
    start(
      *(tmp_path / 'run', '--distributed', '--epochs=1'),
      **(shared | {'SLURM_PROCID': number, 'SLURM_LOCALID': number}),
    )
    for number in '01'
  )
  code, out, err = finish(first)
  assert code == 0, err
  assert 'on 2 cpu' in out and 'epoch 1/1' in out
  code, out, err = finish(second)
  assert code == 0, err
  assert 'epoch' not in out


@pytest.mark.slow
def test_bad_flags(tmp_path):
  code, _, err = finish(start(tmp_path / 'run', '--num_processes=2'))
  assert code == 2
  assert 'give all three' in err
  given = ('--coordinator=localhost:1', '--num_processes=2', '--process_id=2')
  code, _, err = finish(start(tmp_path / 'run', *given))
  assert code == 2
  assert '--process_id=2: must be below --num_processes, 2' in err


@pytest.mark.slow
@pytest.mark.parametrize('index', [0, 1])
def test_ctrl_c_while_waiting_for_others(tmp_path, index):
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  process = start(
    tmp_path / 'run',
    f'--coordinator=localhost:{port}',
    '--num_processes=2',
    f'--process_id={index}',
  )
  time.sleep(10)  # It has long begun to wait.
  began = time.monotonic()
  process.send_signal(signal.SIGINT)
  process.wait()
  assert time.monotonic() - began < 5
  code, _, err = finish(process)
  assert (code, err.strip().splitlines()[-1:]) == (130, ['-c: interrupted'])
