"""The run folder: config.json, skeleton.json, metrics.jsonl."""

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
from semgcn_jax.config import Config, DataConfig
from semgcn_jax.data import graphs
from semgcn_jax.errors import SettingError, UserError, shortened
from semgcn_jax.files import read_bytes, write_text
from semgcn_jax.geometry.graphs import load_graph
from semgcn_jax.geometry.skeletons import Skeleton, load_skeleton, save_skeleton

# Settings that may change when a run is resumed, as no training step depends on
# them. With a cosine schedule, `epochs` may not.
RESUME_MAY_CHANGE = (
  *('epochs', 'data_dir', 'keep_checkpoints', 'checkpoint_epochs'),
  *('device_data', 'image_dir', 'image_workers'),
)
_LOCK = '.lock'
# The files of a run, besides those in its folder `checkpoints`.
_FILES = (
  *('config.json', 'skeleton.json', 'metrics.jsonl', 'weights.npz'),
  *('curves.png', _LOCK),
)
# The fields of metrics.jsonl that are read back, and their types.
_FIELDS = {'epoch': int, 'train_loss': float}
# And one of these, each with others that a run of that kind has.
_SCORES = {'mpjpe': ('mpjpe', 'p_mpjpe'), 'rmse': ('rmse', 'mae', 'r2')}
# The files of a run that was killed before it had a config.
_BEGUN = re.compile(
  r'skeleton\.json|\.(skeleton|config)\.json\.\w+\.tmp|\.lock'
)


def holds_run(workdir: pathlib.Path) -> bool:
  """Returns whether a folder is a run folder."""
  return (workdir / 'config.json').exists()


def check_output(
  path: pathlib.Path, setting: str = 'output', *, new: bool = False
) -> None:
  """Checks that a file can be written without harm, before the work begins.

  Args:
    path: The file.
    setting: The setting that names it, for the message.
    new: Whether it must not exist yet.

  Raises:
    SettingError: It is a folder or has none, exists although it must not, or
      would replace a file of a run.
  """
  if new and path.exists():
    raise SettingError(f'`{setting}={path}`: exists; name a new file')
  try:
    path.stat()
  except FileNotFoundError:
    pass
  except OSError as error:  # Such as a link to itself, or too long a name.
    raise SettingError(f'`{setting}={path}`: {error.strerror}') from error
  if path.is_dir() or not path.parent.is_dir():
    raise SettingError(f'`{setting}={path}`: name a file in an existing folder')
  real = pathlib.Path(os.path.realpath(path))
  if (real.name in _FILES and holds_run(real.parent)) or any(
    folder.name == 'checkpoints' and holds_run(folder.parent)
    for folder in real.parents
  ):
    raise SettingError(
      f'`{setting}={path}`: would replace a file of the run; name another file'
    )


def check_output_folder(folder: pathlib.Path) -> None:
  """Raises a SettingError unless a folder of weights can be made."""
  if folder.exists():
    raise SettingError(f'`output={folder}`: exists; name a new folder')
  if not folder.parent.is_dir():
    raise SettingError(
      f'`output={folder}`: there is no folder {folder.parent}; make it first'
    )


def check(config: Config, workdir: pathlib.Path, resume: bool) -> None:
  """Checks that a folder is free for a new run, or holds the one to resume.

  Raises:
    SettingError: The folder cannot be used for this run.
  """
  try:
    if not holds_run(workdir):
      if workdir.exists() and not (
        workdir.is_dir()
        and all(_BEGUN.fullmatch(path.name) for path in workdir.iterdir())
      ):
        raise SettingError(
          f'`workdir={workdir}`: holds something other than a run; name a new'
          ' folder'
        )
      return
  except OSError as error:
    raise _unusable(workdir, error) from error
  if not resume:
    raise SettingError(
      f'`workdir={workdir}`: holds a run; continue it with `resume`, or name'
      ' another folder'
    )
  before = config_lib.load(workdir / 'config.json')
  now = config.flat()
  for name, value in before.flat().items():
    if now[name] == value:
      continue
    if name == 'epochs' and before.training.lr_schedule != 'staircase':
      raise SettingError(
        f'`epochs={now[name]}`: the run in {workdir} has {value}, and its'
        ' learning rate ends at zero; name another `workdir` for a longer run'
      )
    if name not in RESUME_MAY_CHANGE:
      raise SettingError(
        f'`{name}={now[name]}`: the run in {workdir} has {value}; name another'
        ' `workdir` for a new run'
      )


def find_skeleton(config: DataConfig, workdir: pathlib.Path) -> Any:
  """Loads the skeleton, or the graph, of the run in a folder, or else the data.

  Raises:
    SettingError: There is no such skeleton or dataset.
    UserError: It is damaged.
  """
  if holds_run(workdir):
    return load_graph(str(workdir / 'skeleton.json'))
  if config.task == 'regression':
    return graphs.read(config).graph
  return load_skeleton(config.skeleton)


@contextlib.contextmanager
def claim(
  config: Config, workdir: pathlib.Path, resume: bool
) -> Iterator[None]:
  """Creates the folder and locks it against other training processes.

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
    # Check again, now that nobody else writes.
    check(config, workdir, resume)
    yield
  finally:
    lock.release()


def write_config(
  config: Config, skeleton: Skeleton, workdir: pathlib.Path
) -> None:
  """Writes the config and the skeleton, which make a run folder.

  Raises:
    SettingError: The folder cannot be written.
  """
  try:
    save_skeleton(skeleton, workdir / 'skeleton.json')
    config_lib.save(config, workdir / 'config.json')
  except OSError as error:
    raise _unusable(workdir, error) from error


def read_log(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Reads metrics.jsonl, except for a last line that a crash truncated.

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
      f'{path}: line {len(records) + 1} is damaged ({shortened(error, 100)});'
      ' restore the file, or remove it to continue without its history'
    ) from error
  with contextlib.suppress(ValueError, RecursionError):
    records.append(_record(unfinished))
  return records


def _record(line: bytes) -> dict[str, Any]:
  """Parses the record of an epoch; raises a ValueError if damaged."""
  record = json.loads(line.decode())
  if not isinstance(record, dict):
    raise ValueError('not a record')
  kind = next((name for name in _SCORES if name in record), 'mpjpe')
  fields = _FIELDS | dict.fromkeys(_SCORES[kind], float)
  for name, kind in fields.items():
    if not isinstance(record.get(name), kind):
      raise ValueError(f'{name} is missing')
  return record


def read_records(workdir: pathlib.Path, epoch: int) -> list[dict[str, Any]]:
  """Reads the records of metrics.jsonl up to an epoch.

  Later epochs are dropped, as a crash prevented their checkpoints. Earlier ones
  may be missing where `append_record` has noted that the run began elsewhere.

  Raises:
    UserError: The records are not of consecutive epochs up to this one.
  """
  records = read_log(workdir)
  epochs = [record['epoch'] for record in records]
  first = epochs[0] if epochs and records[0].get('begins') is True else 1
  last = first + len(epochs) - 1
  if epochs and (epochs != list(range(first, last + 1)) or last < epoch):
    raise UserError(
      f'{workdir / "metrics.jsonl"}: lacks epochs up to {epoch}, that of the'
      ' last checkpoint; restore the file, or remove it to continue without its'
      ' history'
    )
  return records[: max(epoch + 1 - first, 0)]


def write_records(records: list[dict[str, Any]], workdir: pathlib.Path) -> None:
  """Replaces metrics.jsonl."""
  text = ''.join(json.dumps(record) + '\n' for record in records)
  write_text(workdir / 'metrics.jsonl', text)


def append_record(record: dict[str, Any], workdir: pathlib.Path) -> None:
  """Appends the record of an epoch to metrics.jsonl.

  `begins` in the first record says that no earlier ones are lost: the run began
  elsewhere, or continues without its history.
  """
  path = workdir / 'metrics.jsonl'
  if record['epoch'] > 1 and not (path.exists() and path.stat().st_size):
    record = record | {'begins': True}
  with open(path, 'a', encoding='utf-8') as file:
    file.write(json.dumps(record) + '\n')


@contextlib.contextmanager
def writing(workdir: pathlib.Path) -> Iterator[None]:
  """Reports in one line why a run cannot be saved, such as a full disk.

  Raises:
    UserError: A file of the run cannot be written. Earlier ones stay intact.
  """
  try:
    yield
  except (OSError, ValueError, RuntimeError) as error:
    # The libraries that write checkpoints wrap the system's error.
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
    reasons = [os.strerror(number) for number in numbers]
    reason = next((text for text in reasons if text in str(error)), None)
    if reason is None:
      raise
    raise UserError(
      f'{workdir}: cannot be written ({reason}); free some space, and continue'
      ' with `resume`'
    ) from error


def _unusable(workdir: pathlib.Path, error: OSError) -> SettingError:
  return SettingError(
    f'`workdir={workdir}`: cannot be used ({error.strerror}); name another'
    ' folder'
  )
