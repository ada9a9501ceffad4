"""What a run of several processes needs, on one host or many.

All processes run the same program. Each trains on its share of each batch and
holds the whole state. The first one alone writes logs, figures and the lines of
metrics.jsonl.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from semgcn_jax.errors import SettingError, UserError

HEARTBEAT_SECONDS = 30  # A process that is silent for so long counts as dead.


def join(
  coordinator: str | None,
  num_processes: int | None,
  process_id: int | None,
  timeout: int = 300,
) -> None:
  """Joins the other processes; comes before any other use of JAX.

  Args:
    coordinator: The host:port of the first process; None takes what the
      environment says (SLURM, Kubernetes, Open MPI and what else JAX detects).
    num_processes: The number of processes of the run; None does likewise.
    process_id: The number of this process, from 0; None does likewise.
    timeout: How many seconds to wait for the others.

  Raises:
    SettingError: Nothing says who the others are, or they did not come.
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
  """Waits in a thread of its own, so that Ctrl-C ends this one at once.

  Python handles signals in its main thread alone, and there only between two
  steps of Python, not while JAX waits for others.
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
  """Tells whether this process is the one that writes for all."""
  return jax.process_index() == 0


def wait(name: str) -> None:
  """Waits until all processes have come to the point of this name."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def any_process(flag: bool) -> bool:
  """Tells whether the flag is set in any process; waits for all of them."""
  if jax.process_count() == 1:
    return flag
  return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
  """Says what it means that an exchange with another process fails.

  Raises:
    UserError: Another process has ended.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if jax.process_count() == 1 or 'RESOURCE_EXHAUSTED' in str(error):
      raise
    first = str(error).splitlines()[0][:200]
    raise UserError(
      f'another process of the run has ended, see its output ({first}); start'
      ' all of them again with `resume`'
    ) from error
