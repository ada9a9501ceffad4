"""Reads files of limited size, and writes them atomically.

The limits are generous: all of Human3.6M at 50 Hz, 3D and 2D, is 0.6 GB.
"""

import contextlib
import errno
import io
import json
import math
import os
import pathlib
import stat
import zipfile
from collections.abc import Callable, Collection, Iterator
from typing import IO, Any

import numpy as np

from semgcn_jax.errors import SettingError

MAX_TEXT = 2**28  # Bytes of a text file.
MAX_BYTES = 2**32  # Bytes of any file, also when unpacked.
# The largest compression ratio: text shrinks to a fifth, recordings hardly.
MAX_RATIO = 100
MIN_TOTAL = 2**26  # Bytes that any compressed file may unpack to.
# The same for arrays: those of keypoints may be padded with zeros where fewer
# people are seen.
MIN_ARRAYS = 2**29


def budget(size: int, least: int = MIN_TOTAL) -> int:
  """Returns how many bytes a compressed file of this size may unpack to."""
  return min(MAX_BYTES, max(least, MAX_RATIO * size))


def open_plain(path: str | pathlib.Path, most: int = MAX_BYTES) -> IO[bytes]:
  """Opens a file for reading, unless it is a device, a pipe or too large.

  Args:
    path: The file.
    most: The largest size, in bytes.

  Raises:
    OSError: It cannot be opened, is no plain file, or is larger.
  """
  # Without O_NONBLOCK, opening a pipe would wait for a writer.
  number = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0))
  file = open(number, 'rb')
  try:
    status = os.fstat(number)
    if stat.S_ISDIR(status.st_mode):
      raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    check_plain(status, most)
  except OSError:
    file.close()
    raise
  return file


def check_plain(status: os.stat_result, most: int, *path: str) -> None:
  """Raises an OSError if a status is of no plain file, or of a larger one."""
  if not stat.S_ISREG(status.st_mode):
    raise OSError(errno.EINVAL, 'Not a plain file', *path)
  if status.st_size > most:
    raise OSError(
      errno.EFBIG,
      f'Holds {status.st_size:,} bytes, more than the limit of {most:,}',
      *path,
    )


def read_bytes(path: str | pathlib.Path, most: int = MAX_TEXT) -> bytes:
  """Reads a whole file; see `open_plain`."""
  with open_plain(path, most) as file:
    return file.read(most)


def read_text(path: str | pathlib.Path, encoding: str = 'utf-8') -> str:
  """Reads a whole text file, with \\n at the ends of lines; see `open_plain`.

  Raises:
    OSError: It cannot be read.
    UnicodeDecodeError: It is not text.
  """
  text = read_bytes(path).decode(encoding)
  return text.replace('\r\n', '\n').replace('\r', '\n')


def is_of_macos(name: str) -> bool:
  """Returns whether a file is metadata that macOS adds to archives."""
  parts = pathlib.PurePosixPath(name).parts
  return '__MACOSX' in parts or any(part.startswith('._') for part in parts)


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of an npz, or that of an npy under the name ''.

  Sizes are checked before memory is allocated, and objects are refused.

  Raises:
    OSError: The file cannot be read.
    ValueError: It is damaged, or would unpack to too much.
  """
  try:
    with open_plain(path) as file:
      if not zipfile.is_zipfile(file):
        file.seek(0)
        return {'': _read_array(io.BytesIO(file.read()))}
      with zipfile.ZipFile(file) as archive:
        most = budget(os.fstat(file.fileno()).st_size, MIN_ARRAYS)
        left = most
        arrays = {}
        for info in archive.infolist():
          left -= info.file_size
          if left < 0:
            raise ValueError(
              f'it would unpack to more than the limit of {most:,} bytes;'
              ' save it uncompressed'
            )
          name = info.filename.removesuffix('.npy')
          arrays[name] = _read_array(io.BytesIO(archive.read(info)))
        return arrays
  except (OSError, ValueError):
    raise
  # Damage makes zipfile, zlib and NumPy's header parser raise anything.
  except Exception as error:
    raise ValueError(f'{type(error).__name__}: {error}') from error


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
  """Reads the header of an npy, and returns the shape and dtype in it.

  Raises:
    ValueError: It is damaged, or of an unknown version.
  """
  version = np.lib.format.read_magic(file)
  read_header = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }
  if version not in read_header:
    raise ValueError(f'npy version {version}')
  shape, _, dtype = read_header[version](file)
  return shape, dtype


def _read_array(file: io.BytesIO) -> np.ndarray:
  """Reads an npy, whose header must state the size of the data."""
  shape, dtype = read_npy_header(file)
  if dtype.hasobject:
    raise ValueError('it holds objects, not numbers')
  if math.prod(shape) * dtype.itemsize != len(file.getbuffer()) - file.tell():
    raise ValueError('an array of another size than its data')
  file.seek(0)
  return np.lib.format.read_array(file, allow_pickle=False)


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a text file atomically; see `replacing`."""
  with replacing(path) as temporary:
    temporary.write_text(text)


@contextlib.contextmanager
def replacing(
  path: pathlib.Path, *, new: bool = False
) -> Iterator[pathlib.Path]:
  """Yields a temporary path to write to, and moves it to `path` at the end.

  A link stays one, and the file that it names is replaced. A file keeps its
  permissions. Several processes may replace the same file at once; with `new`
  the first one wins, otherwise the last.

  Args:
    path: The file.
    new: Whether it must not exist.

  Raises:
    OSError: The file cannot be written; `path` stays as it was.
  """
  path = pathlib.Path(os.path.realpath(path))
  # A name has at most 255 bytes, and a character up to four.
  temporary = path.with_name(f'.{path.name[:40]}.{os.urandom(8).hex()}.tmp')
  try:
    yield temporary
    if new:
      _move_to_new(temporary, path)
      return
    with contextlib.suppress(FileNotFoundError):
      temporary.chmod(stat.S_IMODE(path.stat().st_mode))
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)


def _move_to_new(temporary: pathlib.Path, path: pathlib.Path) -> None:
  """Moves a file to a path at which there is none, not even a new one."""
  try:
    os.link(temporary, path)
  except FileExistsError:
    raise
  except OSError:  # Some file systems have no hard links.
    with open(path, 'xb'):
      pass
    temporary.replace(path)


def write_output(
  path: pathlib.Path,
  write: Callable[[pathlib.Path], Any],
  setting: str = 'output',
  *,
  new: bool = False,
) -> None:
  """Writes the file that a setting names atomically.

  Args:
    path: The file.
    write: Writes to the temporary path that it is given.
    setting: The name of the setting, for the message.
    new: Whether the file must not exist.

  Raises:
    SettingError: The file cannot be written.
  """
  try:
    with replacing(path, new=new) as temporary:
      write(temporary)
  except FileExistsError as error:
    raise SettingError(
      f'`{setting}={path}`: exists by now; give `overwrite`, or another name'
    ) from error
  except OSError as error:
    raise SettingError(f'`{setting}={path}`: {error.strerror}') from error


def write_json(result: dict[str, Any], path: pathlib.Path) -> None:
  """Writes a result as JSON to the file of `output`; see `write_output`."""
  text = json.dumps(result, indent=2) + '\n'
  write_output(path, lambda temporary: temporary.write_text(text))


def split_paths(
  text: str, endings: Collection[str], setting: str
) -> tuple[pathlib.Path, ...]:
  """Splits paths at the commas that follow an ending.

  Args:
    text: The paths.
    endings: The endings that they may have, such as '.json'.
    setting: The setting that has them, for the message.

  Raises:
    SettingError: A path is empty.
  """
  paths: list[str] = []
  for part in text.split(','):
    if paths and pathlib.PurePath(paths[-1]).suffix not in endings:
      paths[-1] += f',{part}'
    else:
      paths.append(part.strip())
  if not all(paths):
    raise SettingError(
      f'`{setting}={text}`: has an empty name; give files joined by commas'
    )
  return tuple(map(pathlib.Path, paths))
