import gc
import importlib.metadata
import os
import signal
import time

import pytest

from semgcn_jax.commands import running
from semgcn_jax.errors import Terminated
from semgcn_jax.training.interrupts import StopRequest

SCHEDULING = '--xla_gpu_command_buffer_scheduling_mode'


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
  monkeypatch.setattr(running, '_REPEAT_SECONDS', 0.2)


def wait():
  for _ in range(100):
    time.sleep(0.05)


@pytest.mark.parametrize(
  ('number', 'error'),
  [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)],
)
def test_a_signal_is_not_lost_where_exceptions_are(number, error, capfd):
  before = signal.getsignal(number)

  def callback(phase, info):
    if phase == 'start' and not lost:
      lost.append(number)
      os.kill(os.getpid(), number)  # What it raises here is ignored.

  lost = []
  began = time.monotonic()
  with pytest.raises(error), running._reporting(), running._ended_by_signals():
    gc.callbacks.append(callback)
    try:
      gc.collect()
      assert lost
      wait()
    finally:
      gc.callbacks.remove(callback)
  assert time.monotonic() - began < 4
  assert signal.getsignal(number) == before
  assert capfd.readouterr().err == ''
  time.sleep(0.5)  # Nothing is repeated once the command has ended.


def test_a_signal_that_was_swallowed_comes_again():
  caught = []
  with (
    pytest.raises(Terminated),
    running._reporting(),
    running._ended_by_signals(),
  ):
    try:
      os.kill(os.getpid(), signal.SIGTERM)
      wait()
    except KeyboardInterrupt:  # As in a module that swallows everything.
      caught.append(True)
    wait()
  assert caught == [True]


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_cleaning_up_is_not_interrupted(number):
  cleaned = []
  with (
    pytest.raises(KeyboardInterrupt),
    running._reporting(),
    running._ended_by_signals(),
  ):
    try:
      os.kill(os.getpid(), number)
      wait()
    finally:
      time.sleep(1.0)
      cleaned.append(True)
  assert cleaned == [True]


def test_a_run_that_takes_note_is_asked_once():
  """The second time, it would end at once, without being saved."""
  with running._reporting(), running._ended_by_signals():
    with pytest.raises(Terminated):
      os.kill(os.getpid(), signal.SIGTERM)
      wait()
    with StopRequest() as stop:
      while stop.signal is None:
        time.sleep(0.01)
      assert stop.signal == signal.SIGTERM
      time.sleep(0.8)


@pytest.mark.parametrize(
  ('plugin', 'given', 'told'),
  [
    ({'jax-cuda13-plugin': '0.11.2'}, None, f'{SCHEDULING}=CONCURRENT'),
    (
      {'jax-cuda12-plugin': '0.10.0'},
      '--a=1',
      f'--a=1 {SCHEDULING}=CONCURRENT',
    ),
    ({'jax-cuda13-plugin': '0.12.0'}, f'{SCHEDULING}=LHS', f'{SCHEDULING}=LHS'),
    ({'jax-cuda13-plugin': '0.11rc1'}, 'a.txt', 'a.txt'),
    ({'jax-cuda13-plugin': '0.13.0'}, None, None),
    ({'jax-cuda13-plugin': 'own'}, None, None),
    ({}, None, None),
  ],
)
def test_gpu_kernels_run_at_the_same_time(monkeypatch, plugin, given, told):
  def version(name):
    if name in plugin:
      return plugin[name]
    raise importlib.metadata.PackageNotFoundError

  monkeypatch.setattr(importlib.metadata, 'version', version)
  monkeypatch.setenv('XLA_FLAGS', given or '')
  if given is None:
    monkeypatch.delenv('XLA_FLAGS')
  running.overlap_gpu_kernels()
  assert os.environ.get('XLA_FLAGS') == told
