"""The folder of a run: config.json, skeleton.json, metrics.jsonl."""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from semgcn_jax import config as config_lib
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError, UserError
from semgcn_jax.files import write_text
from semgcn_jax.skeleton import Skeleton, load_skeleton, save_skeleton

# Fields that may change when a run is resumed: none of them touches a step,
# but for the epochs of a cosine.
RESUME_MAY_CHANGE = (
  *('epochs', 'data_dir', 'keep_checkpoints', 'checkpoint_epochs'),
  'device_data',
)
# All that a run leaves that was killed before it had a config.
_BEGUN = re.compile(r'skeleton\.json|\.(skeleton|config)\.json\.\d+\.tmp')


def holds_run(workdir: pathlib.Path) -> bool:
  return (workdir / 'config.json').exists()


def check(config: Config, workdir: pathlib.Path, resume: bool) -> None:
  """Refuses a folder that holds a run, or with resume another run.

  Raises:
    FlagError: the folder cannot be used for this run; it is as it was.
  """
  try:
    if not holds_run(workdir):
      strangers = workdir.exists() and (
        not workdir.is_dir()
        or not all(_BEGUN.fullmatch(path.name) for path in workdir.iterdir())
      )
      if strangers:
        raise FlagError(
          f'--workdir={workdir}: holds something else than a run; name a new'
          ' folder'
        )
      return
  except OSError as error:
    raise _unwritable(workdir, error) from error
  if not resume:
    raise FlagError(
      f'--workdir={workdir}: holds a run; go on with --resume, or name another'
      ' folder'
    )
  before = dataclasses.asdict(config_lib.load(workdir / 'config.json'))
  now = dataclasses.asdict(config)
  for name, value in before.items():
    fixed = name not in RESUME_MAY_CHANGE
    if (
      now[name] != value
      and name == 'epochs'
      and before['lr_schedule'] != ('staircase')
    ):
      raise FlagError(
        f'--epochs={now[name]}: the run in {workdir} has {value}, at whose end'
        ' its learning rate is zero; name another --workdir for a longer run'
      )
    if now[name] != value and fixed:
      raise FlagError(
        f'--{name}={now[name]}: the run in {workdir} has {value}; name another'
        ' --workdir for a new run'
      )


def skeleton_of(config: Config, workdir: pathlib.Path) -> Skeleton:
  """The skeleton of the run that is there, or that the config names."""
  path = workdir / 'skeleton.json'
  name = str(path) if holds_run(workdir) else config.skeleton
  return load_skeleton(name)


@contextlib.contextmanager
def claim(
  config: Config, workdir: pathlib.Path, resume: bool
) -> Iterator[None]:
  """Makes the folder and holds it, so that no other process trains in it.

  Raises:
    FlagError: it cannot be written, or is in use.
  """
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    handle = os.open(workdir, os.O_RDONLY)
  except OSError as error:
    raise _unwritable(workdir, error) from error
  try:
    try:
      fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise FlagError(
        f'--workdir={workdir}: another process trains in it; name another one'
      ) from error
    check(config, workdir, resume)  # Again, now that nobody else writes.
    yield
  finally:
    os.close(handle)


def write_config(
  config: Config, skeleton: Skeleton, workdir: pathlib.Path
) -> None:
  """Makes the folder that of a run, or of one that goes on.

  Raises:
    FlagError: it cannot be written.
  """
  try:
    save_skeleton(skeleton, workdir / 'skeleton.json')
    config_lib.save(config, workdir / 'config.json')
  except OSError as error:
    raise _unwritable(workdir, error) from error


def read_log(workdir: pathlib.Path) -> list[Any]:
  """The lines of metrics.jsonl; one that a crash cut short is left out."""
  path = workdir / 'metrics.jsonl'
  lines = []
  for line in path.read_text().splitlines() if path.exists() else ():
    try:
      lines.append(json.loads(line))
    except ValueError:
      break
  return lines


def read_records(workdir: pathlib.Path, epoch: int) -> list[dict[str, Any]]:
  """The records of metrics.jsonl up to an epoch.

  Later ones, of epochs whose checkpoint a crash has prevented, are left out.

  Returns:
    A record for each epoch; fewer, for a run that began elsewhere.

  Raises:
    UserError: they are not of consecutive epochs up to this one.
  """
  try:
    records = [r for r in read_log(workdir) if r['epoch'] <= epoch]
    epochs = [r['epoch'] for r in records if isinstance(r['mpjpe'], float)]
  except (TypeError, KeyError):
    epochs = [None]
  if epochs != list(range(epoch + 1 - len(epochs), epoch + 1)):
    raise UserError(
      f'{workdir / "metrics.jsonl"}: does not hold the epochs up to {epoch}, as'
      ' the last checkpoint does; restore the file, or remove it to go on'
      ' without its history'
    )
  return records


def write_records(records: list[dict[str, Any]], workdir: pathlib.Path) -> None:
  """Writes metrics.jsonl anew."""
  text = ''.join(json.dumps(record) + '\n' for record in records)
  write_text(workdir / 'metrics.jsonl', text)


def append_record(record: dict[str, Any], workdir: pathlib.Path) -> None:
  with open(workdir / 'metrics.jsonl', 'a', encoding='utf-8') as file:
    file.write(json.dumps(record) + '\n')


def _unwritable(workdir: pathlib.Path, error: OSError) -> FlagError:
  return FlagError(
    f'--workdir={workdir}: cannot be used ({error.strerror}); name another'
    ' folder'
  )
