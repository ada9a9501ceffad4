"""Runs of several processes, on one host or many; all run the same program.

Every process trains its share of each batch and holds the whole state. The
first one alone writes logs, figures and the lines of metrics.jsonl.
"""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from semgcn_jax.errors import SettingError, UserError

HEARTBEAT_SECONDS = 30  # After which a silent process counts as dead.


def join(
  coordinator: str | None,
  num_processes: int | None,
  process_id: int | None,
  timeout: int = 300,
) -> None:
  """Waits for the other processes; before anything else of JAX.

  Args:
    coordinator: host:port of the first process; None: as the environment says
      (SLURM, Kubernetes, Open MPI and what else JAX detects).
    num_processes: of the run; None: likewise.
    process_id: from 0; None: likewise.
    timeout: seconds to wait for the others.

  Raises:
    SettingError: nothing says who they are, or they did not come.
  """
  if jax.config.jax_platforms == 'cpu':
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  try:
    jax.distributed.initialize(
      coordinator,
      num_processes,
      process_id,
      initialization_timeout=timeout,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
    )
  except (ValueError, RuntimeError) as error:
    raise SettingError(
      f'`distributed`: the processes did not find each other'
      f' ({str(error).splitlines()[0]}); give `coordinator=host:port`,'
      ' `num_processes` and `process_id` to each'
    ) from error


def is_first() -> bool:
  """Whether this process writes for all."""
  return jax.process_index() == 0


def wait(name: str) -> None:
  """Waits until all processes are here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def any_process(flag: bool) -> bool:
  """Whether the flag is set in any process; a meeting point of all."""
  if jax.process_count() == 1:
    return flag
  return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
  """Says what it means when an exchange with another process fails.

  Raises:
    UserError: another process has ended.
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
