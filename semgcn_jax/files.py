"""Reads files within limits, and writes them so that nothing is lost.

No file that this package reads needs more than these limits allow: all of
Human3.6M at 50 Hz, 3D and 2D, is 0.6 GB.
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
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from semgcn_jax.errors import SettingError

MAX_TEXT = 2**28  # Bytes of a file of text.
MAX_BYTES = 2**32  # Bytes that any file may hold, or unpack to.
MAX_ARRAYS = 2**37  # Bytes of a file of a checkpoint's arrays.
MAX_DEPTH = 20  # How deep folders are within a checkpoint.
# A compressed file may also unpack to no more than so many times its size:
# text shrinks to about a fifth, recordings hardly at all.
MAX_RATIO = 100
MIN_TOTAL = 2**26  # Bytes that a compressed file of any size may hold.
# The same for arrays that are no pickles: those of keypoints may be padded by
# zeros where fewer people are seen.
MIN_ARRAYS = 2**29
# What training and exporting write into the folder of a run, which has a
# config.json; `checkpoints` besides.
OF_A_RUN = (
  *('config.json', 'skeleton.json', 'metrics.jsonl', 'weights.npz'),
  *('curves.png', '.lock'),
)


def budget(size: int, least: int = MIN_TOTAL) -> int:
  """Computes how many bytes a compressed file of this size may hold."""
  return min(MAX_BYTES, max(least, MAX_RATIO * size))


def open_plain(path: str | pathlib.Path, most: int = MAX_BYTES) -> IO[bytes]:
  """Opens a file to read it, unless it is a device, a pipe or too large.

  Args:
    path: The file.
    most: The most bytes that it may have.

  Raises:
    OSError: It cannot be opened, is no plain file, or is larger; `strerror`
      says so.
  """
  # Without O_NONBLOCK, to open a pipe would wait for a writer.
  number = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0))
  file = open(number, 'rb')
  try:
    status = os.fstat(number)
    if stat.S_ISDIR(status.st_mode):
      raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
      raise OSError(errno.EINVAL, 'Not a plain file')
    if status.st_size > most:
      raise OSError(
        errno.EFBIG,
        f'Holds {status.st_size:,} bytes, more than the limit of {most:,}',
      )
  except OSError:
    file.close()
    raise
  return file


def check_folder(path: pathlib.Path, most: int, depth: int = 0) -> None:
  """Checks that a folder holds plain files and folders, for who opens them all.

  Args:
    path: The folder. What vanishes from it meanwhile is passed over.
    most: The most bytes that a file may have, unless it is in a folder d, which
      is how checkpoints call that of their arrays.
    depth: How deep the folder is within the one that is checked.

  Raises:
    OSError: It holds something else, or a larger file; `filename` is its path,
      and `strerror` says so.
  """
  if depth > MAX_DEPTH:
    raise OSError(errno.ELOOP, 'Too many folders within each other', str(path))
  with contextlib.suppress(FileNotFoundError):
    for entry in list(os.scandir(path)):
      with contextlib.suppress(FileNotFoundError):
        status = entry.stat()
        if stat.S_ISDIR(status.st_mode):
          inner = pathlib.Path(entry.path)
          bound = MAX_ARRAYS if entry.name == 'd' else most
          check_folder(inner, bound, depth + 1)
        elif not stat.S_ISREG(status.st_mode):
          raise OSError(errno.EINVAL, 'Not a plain file', entry.path)
        elif status.st_size > most:
          raise OSError(
            errno.EFBIG,
            f'Holds {status.st_size:,} bytes, more than the limit of {most:,}',
            entry.path,
          )


def read_bytes(path: str | pathlib.Path, most: int = MAX_TEXT) -> bytes:
  """Reads a whole file; see `open_plain`."""
  with open_plain(path, most) as file:
    return file.read(most)


def read_text(path: str | pathlib.Path, encoding: str = 'utf-8') -> str:
  """Reads a whole file of text; see `open_plain`.

  Raises:
    OSError: It cannot be read.
    UnicodeDecodeError: It is no text.
  """
  text = read_bytes(path).decode(encoding)
  return text.replace('\r\n', '\n').replace('\r', '\n')


def is_of_macos(name: str) -> bool:
  """Tells whether macOS has put a file beside those that a user knows of."""
  parts = pathlib.PurePosixPath(name).parts
  return '__MACOSX' in parts or any(part.startswith('._') for part in parts)


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of an npz, or the one of an npy under the name ''.

  Sizes are checked before memory is taken, and objects refused.

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
  # Of damage zipfile, zlib and NumPy's parser of headers make anything.
  except Exception as error:
    raise ValueError(f'{type(error).__name__}: {error}') from error


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
  """Reads the head of an npy, and returns the shape and type that it tells.

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
  """Reads an npy whose header must tell the size that the data have."""
  shape, dtype = read_npy_header(file)
  if dtype.hasobject:
    raise ValueError('it holds objects, not numbers')
  if math.prod(shape) * dtype.itemsize != len(file.getbuffer()) - file.tell():
    raise ValueError('an array of another size than its data')
  file.seek(0)
  return np.lib.format.read_array(file, allow_pickle=False)


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a text file, as a whole or not at all; see `replacing`."""
  with replacing(path) as temporary:
    temporary.write_text(text)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Gives a temporary path to write to, and moves it to `path` at the end.

  Several processes may replace the same file at once: each writes under a name
  of its own, and the last one to finish wins.

  Raises:
    OSError: The file cannot be written; what was at `path` stays.
  """
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    yield temporary
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)


def write_output(
  path: pathlib.Path,
  write: Callable[[pathlib.Path], Any],
  setting: str = 'output',
) -> None:
  """Writes the file that a setting names, whole or not at all.

  Args:
    path: The file.
    write: Writes to the temporary file that it is given.
    setting: The name of the setting, for the message.

  Raises:
    SettingError: The file cannot be written.
  """
  try:
    with replacing(path) as temporary:
      write(temporary)
  except OSError as error:
    raise SettingError(f'`{setting}={path}`: {error.strerror}') from error


def check_output(path: pathlib.Path, setting: str = 'output') -> None:
  """Checks that a file can be written without harm, before the work begins.

  Args:
    path: The file.
    setting: The setting that names it, for the message.

  Raises:
    SettingError: It is a folder or has none, or would replace a file of a run.
  """
  if path.is_dir() or not path.parent.is_dir():
    raise SettingError(f'`{setting}={path}`: name a file in an existing folder')
  real = path.resolve()
  in_run = real.name in OF_A_RUN and (real.parent / 'config.json').exists()
  if in_run or any(
    folder.name == 'checkpoints' and (folder.parent / 'config.json').exists()
    for folder in real.parents
  ):
    raise SettingError(
      f'`{setting}={path}`: would replace a file of the run; name another file'
    )


def write_json(result: dict[str, Any], path: pathlib.Path) -> None:
  """Writes a result as JSON to the file that the setting `output` names.

  Raises:
    SettingError: The file cannot be written; see also `check_output`.
  """
  check_output(path)
  try:
    write_text(path, json.dumps(result, indent=2) + '\n')
  except OSError as error:
    raise SettingError(f'`output={path}`: {error.strerror}') from error
