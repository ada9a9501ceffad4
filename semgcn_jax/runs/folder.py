"""The folder of a run: config.json, skeleton.json, metrics.jsonl."""

import contextlib
import errno
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import filelock

from semgcn_jax import config as config_lib
from semgcn_jax.config import Config
from semgcn_jax.errors import SettingError, UserError, shortened
from semgcn_jax.files import read_bytes, write_text
from semgcn_jax.geometry.skeletons import Skeleton, load_skeleton, save_skeleton

# These settings may change when a run is resumed, as they change no training
# step. With a cosine `epochs` would, so then it may not change.
RESUME_MAY_CHANGE = (
  *('epochs', 'data_dir', 'keep_checkpoints', 'checkpoint_epochs'),
  *('device_data', 'image_dir', 'image_workers'),
)
_LOCK = '.lock'
# What every record of metrics.jsonl has that is read again, and of which type.
_FIELDS = {
  'epoch': int,
  'train_loss': float,
  'mpjpe': float,
  'p_mpjpe': float,
}
# These are the files of a run that was killed before it had a config.
_BEGUN = re.compile(
  r'skeleton\.json|\.(skeleton|config)\.json\.\d+\.tmp|\.lock'
)


def holds_run(workdir: pathlib.Path) -> bool:
  """Tells whether a folder is that of a run."""
  return (workdir / 'config.json').exists()


def check(config: Config, workdir: pathlib.Path, resume: bool) -> None:
  """Refuses a folder that holds a run, or, to resume, that of another run.

  The folder is not changed.

  Raises:
    SettingError: The folder cannot be used for this run.
  """
  try:
    if not holds_run(workdir):
      strangers = workdir.exists() and (
        not workdir.is_dir()
        or not all(_BEGUN.fullmatch(path.name) for path in workdir.iterdir())
      )
      if strangers:
        raise SettingError(
          f'`workdir={workdir}`: holds something else than a run; name a new'
          ' folder'
        )
      return
  except OSError as error:
    raise _unusable(workdir, error) from error
  if not resume:
    raise SettingError(
      f'`workdir={workdir}`: holds a run; go on with `resume`, or name another'
      ' folder'
    )
  before = config_lib.load(workdir / 'config.json')
  now = config.flat()
  for name, value in before.flat().items():
    if now[name] == value:
      continue
    if name == 'epochs' and before.training.lr_schedule != 'staircase':
      raise SettingError(
        f'`epochs={now[name]}`: the run in {workdir} has {value}, at whose end'
        ' its learning rate is zero; name another `workdir` for a longer run'
      )
    if name not in RESUME_MAY_CHANGE:
      raise SettingError(
        f'`{name}={now[name]}`: the run in {workdir} has {value}; name another'
        ' `workdir` for a new run'
      )


def find_skeleton(name: str, workdir: pathlib.Path) -> Skeleton:
  """Loads the skeleton of the run that is there, or else the one named."""
  path = workdir / 'skeleton.json'
  return load_skeleton(str(path) if holds_run(workdir) else name)


@contextlib.contextmanager
def claim(
  config: Config, workdir: pathlib.Path, resume: bool
) -> Iterator[None]:
  """Makes the folder and locks it, so that no other process trains in it.

  Raises:
    SettingError: The folder cannot be written, or is in use.
  """
  lock = filelock.FileLock(workdir / _LOCK)
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    lock.acquire(blocking=False)
  except filelock.Timeout as error:
    raise SettingError(
      f'`workdir={workdir}`: another process trains in it; name another one'
    ) from error
  except OSError as error:
    raise _unusable(workdir, error) from error
  try:
    # It is checked again, now that nobody else writes.
    check(config, workdir, resume)
    yield
  finally:
    lock.release()


def write_config(
  config: Config, skeleton: Skeleton, workdir: pathlib.Path
) -> None:
  """Writes the config and the skeleton, which make a folder that of a run.

  Raises:
    SettingError: The folder cannot be written.
  """
  try:
    save_skeleton(skeleton, workdir / 'skeleton.json')
    config_lib.save(config, workdir / 'config.json')
  except OSError as error:
    raise _unusable(workdir, error) from error


def read_log(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Reads metrics.jsonl, without a last line that a crash has cut short.

  Raises:
    UserError: It cannot be read, or another line is damaged.
  """
  path = workdir / 'metrics.jsonl'
  if not path.exists():
    return []
  records = []
  try:
    *lines, unfinished = read_bytes(path).split(b'\n')
    for line in lines:
      records.append(_record(line))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, RecursionError) as error:
    raise UserError(
      f'{path}: line {len(records) + 1} is damaged'
      f' ({shortened(error, 100)}); restore the file, or remove it'
      ' to go on without its history'
    ) from error
  with contextlib.suppress(ValueError, RecursionError):
    records.append(_record(unfinished))
  return records


def _record(line: bytes) -> dict[str, Any]:
  """Reads the record of an epoch; a ValueError says what is wrong."""
  record = json.loads(line.decode())
  if not isinstance(record, dict):
    raise ValueError('not a record')
  for name, kind in _FIELDS.items():
    if not isinstance(record.get(name), kind):
      raise ValueError(f'{name} is missing')
  return record


def read_records(workdir: pathlib.Path, epoch: int) -> list[dict[str, Any]]:
  """Reads the records of metrics.jsonl up to an epoch.

  Later ones are left out, as a crash has prevented the checkpoints of their
  epochs.

  Returns:
    A record for each epoch; only for the last ones, if the run began elsewhere,
    as `append_record` has noted then.

  Raises:
    UserError: The records are not of consecutive epochs up to this one.
  """
  records = read_log(workdir)
  epochs = [record['epoch'] for record in records]
  first = epochs[0] if epochs and records[0].get('begins') is True else 1
  last = first + len(epochs) - 1
  if epochs and (epochs != list(range(first, last + 1)) or last < epoch):
    raise UserError(
      f'{workdir / "metrics.jsonl"}: does not hold the epochs up to {epoch}, as'
      ' the last checkpoint does; restore the file, or remove it to go on'
      ' without its history'
    )
  return records[: max(epoch + 1 - first, 0)]


def write_records(records: list[dict[str, Any]], workdir: pathlib.Path) -> None:
  """Writes metrics.jsonl anew."""
  text = ''.join(json.dumps(record) + '\n' for record in records)
  write_text(workdir / 'metrics.jsonl', text)


def append_record(record: dict[str, Any], workdir: pathlib.Path) -> None:
  """Adds the record of an epoch to metrics.jsonl.

  The first record of a log tells by `begins` that those of the epochs before
  are not lost: the run began elsewhere, or goes on without its history.
  """
  path = workdir / 'metrics.jsonl'
  if record['epoch'] > 1 and not (path.exists() and path.stat().st_size):
    record = record | {'begins': True}
  with open(path, 'a', encoding='utf-8') as file:
    file.write(json.dumps(record) + '\n')


@contextlib.contextmanager
def writing(workdir: pathlib.Path) -> Iterator[None]:
  """Says in one line why a run cannot be saved, such as for a full disk.

  Raises:
    UserError: A file of the run cannot be written. What was saved before stays.
  """
  try:
    yield
  except (OSError, ValueError, RuntimeError) as error:
    # Checkpoints are written by libraries that wrap the system's own error.
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
    reasons = [os.strerror(number) for number in numbers]
    reason = next((text for text in reasons if text in str(error)), None)
    if reason is None:
      raise
    raise UserError(
      f'{workdir}: cannot be written ({reason}); make room, and go on with'
      ' `resume`'
    ) from error


def _unusable(workdir: pathlib.Path, error: OSError) -> SettingError:
  return SettingError(
    f'`workdir={workdir}`: cannot be used ({error.strerror}); name another'
    ' folder'
  )
