"""Coordinates the processes of a run, on one host or many.

All processes run the same program. Each trains on its share of each batch and
holds the whole state. Only the first writes logs, figures and metrics.jsonl.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from semgcn_jax.errors import SettingError, UserError

HEARTBEAT_SECONDS = 30  # A process that is silent this long counts as dead.


def join(
  coordinator: str | None,
  num_processes: int | None,
  process_id: int | None,
  timeout: int = 300,
) -> None:
  """Joins the other processes; must precede any other use of JAX.

  Where an argument is None, JAX detects it from the environment (SLURM,
  Kubernetes, Open MPI and others).

  Args:
    coordinator: The host:port of the first process.
    num_processes: The number of processes of the run.
    process_id: The number of this process, from 0.
    timeout: The seconds to wait for the others.

  Raises:
    SettingError: The other processes are unknown, or did not join in time.
  """
  if coordinator is not None:
    port = re.fullmatch(r'.+:(\d{1,5})', coordinator)
    if not port or not 1 <= int(port[1]) <= 65535:
      raise SettingError(
        f'`coordinator={coordinator}`: must be host:port, such as'
        ' 10.0.0.1:1234, with a port from 1 to 65535'
      )
  if jax.config.jax_platforms == 'cpu':  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  try:
    _uninterrupted(
      lambda: jax.distributed.initialize(
        coordinator,
        num_processes,
        process_id,
        initialization_timeout=timeout,
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      )
    )
  except (ValueError, RuntimeError) as error:
    raise SettingError(
      f'`distributed`: the processes did not find each other'
      f' ({str(error).splitlines()[0]}); give `coordinator=host:port`,'
      ' `num_processes` and `process_id` to each'
    ) from error


def _uninterrupted(wait: Callable[[], None]) -> None:
  """Waits in another thread, so that Ctrl-C ends this one at once.

  Python handles signals only in its main thread, and not while JAX blocks it.
  """
  failures: list[Exception] = []

  def run():
    try:
      wait()
    except Exception as error:
      failures.append(error)

  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  while thread.is_alive():
    thread.join(0.1)
  if failures:
    raise failures[0]


def is_first() -> bool:
  """Returns whether this process is the one that writes."""
  return jax.process_index() == 0


def wait(name: str) -> None:
  """Waits until all processes reach the point of this name."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def any_process(flag: bool) -> bool:
  """Returns whether any process sets the flag; waits for all of them."""
  if jax.process_count() == 1:
    return flag
  return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
  """Turns the failure of an exchange with another process into a UserError."""
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if jax.process_count() == 1 or 'RESOURCE_EXHAUSTED' in str(error):
      raise
    first = str(error).splitlines()[0][:200]
    raise UserError(
      f'another process of the run has ended, see its output ({first}); restart'
      ' all of them with `resume`'
    ) from error
