"""Unpacks the members of archives that a conversion needs, safely."""

import bz2
import contextlib
import dataclasses
import functools
import gzip
import io
import lzma
import pathlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import rich.console
import rich.progress

from semgcn_jax.errors import UserError, shortened

T = TypeVar('T')

SUFFIXES = ('.zip', '.tar', '.tgz', '.tar.gz', '.tar.bz2', '.tar.xz')
# No file that we read is larger or compresses better: text shrinks to about a
# fifth, recordings hardly at all.
MAX_MEMBER = 2**30  # Bytes.
MAX_RATIO = 100
MIN_TOTAL = 2**26  # Bytes that even the smallest archive may hold.


def is_archive(path: pathlib.Path) -> bool:
  """Whether this is a file with the name of an archive."""
  return path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpack(
  path: pathlib.Path, wanted: Callable[[str], bool], folder: pathlib.Path
) -> None:
  """Unpacks the wanted members under their names, never outside the folder.

  Args:
    path: The archive: zip or tar, plain or compressed.
    wanted: Returns whether a member with this name is wanted.
    folder: The folder to unpack into.

  Raises:
    UserError: The archive is damaged, holds more data than such an archive can,
      or has a member that is a link or lies outside the archive.
  """
  budget = max(MIN_TOTAL, MAX_RATIO * path.stat().st_size)
  members = _zip_members if zipfile.is_zipfile(path) else _tar_members
  total = 0
  try:
    with contextlib.closing(members(path, budget)) as found:
      for member in found:
        # Unlike tarfile's data filter, these checks also bound the size, and
        # they apply to zip archives too.
        _check_name(path, member.name)
        if not member.is_plain:
          raise UserError(
            f'{path}: refused, its member {shortened(repr(member.name))} is a'
            ' link or device'
          )
        total += member.size
        is_wanted = wanted(member.name)
        if total > budget or (is_wanted and member.size > MAX_MEMBER):
          raise _bomb(path)
        if member.is_folder or not is_wanted:
          continue
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Both readers stop at the member's size, even if more follows.
        with member.open() as source, open(target, 'wb') as file:
          shutil.copyfileobj(source, file)
  except (
    # RuntimeError: an encrypted member; NotImplementedError: an unknown
    # compression; ValueError: a header that contradicts itself.
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError),
    *(lzma.LZMAError, NotImplementedError, RuntimeError, ValueError),
  ) as error:
    raise UserError(
      f'{path}: cut off or not a zip or tar archive'
      f' ({shortened(error, 100)}); copy it again, or move it away'
    ) from error
  except OSError as error:
    # A damaged compressed stream raises an OSError without an errno.
    reason = error.strerror or f'{error}; copy it again'
    raise UserError(f'{path}: cannot be unpacked: {reason}') from error


def _bomb(path: pathlib.Path) -> UserError:
  """Returns the error for an archive that would unpack to too much."""
  return UserError(
    f'{path}: refused, it would unpack to more than such an archive can hold'
  )


def _check_name(path: pathlib.Path, name: str) -> None:
  """Raises a UserError if a member would be written outside the folder."""
  parts = pathlib.PurePosixPath(name.replace('\\', '/')).parts
  if '..' in parts or name[:1] in ('/', '\\') or ':' in ''.join(parts[:1]):
    raise UserError(
      f'{path}: refused, its member {shortened(repr(name))} lies outside'
      ' of the archive'
    )


@dataclasses.dataclass(frozen=True)
class Member:
  """A member of an archive, as its header describes it.

  Attributes:
    name: The path in the archive.
    size: The size of the data, in bytes.
    is_folder: Whether it is a folder.
    is_plain: Whether it is a file or folder, not a link or device.
    open: Opens a file's data for reading.
  """

  name: str
  size: int
  is_folder: bool
  is_plain: bool
  open: Callable[[], Any]


def _zip_members(
  path: pathlib.Path, budget: int
) -> Generator[Member, None, None]:
  """Yields the members of a zip archive."""
  del budget  # A zip archive lists the sizes up front.
  with zipfile.ZipFile(path) as archive:
    for info in _unpacking(archive.infolist(), path):
      kind = stat.S_IFMT(info.external_attr >> 16)
      yield Member(
        name=info.filename,
        size=info.file_size,
        is_folder=info.is_dir(),
        is_plain=kind in (0, stat.S_IFREG, stat.S_IFDIR),
        open=functools.partial(archive.open, info),
      )


def _tar_members(
  path: pathlib.Path, budget: int
) -> Generator[Member, None, None]:
  """Yields the members of a tar archive, each to be read right away."""
  with _decompressed(path) as file:
    limited = _Limited(file, path, budget)
    # 'r|' reads the stream once, from start to end.
    with tarfile.open(fileobj=limited, mode='r|') as tar:
      for info in _unpacking(tar, path):
        yield Member(
          name=info.name,
          size=info.size,
          is_folder=info.isdir(),
          is_plain=info.isfile() or info.isdir(),
          open=functools.partial(tar.extractfile, info),
        )
      # Read the rest too: a compressed stream ends with its checksum, and
      # tarfile does not notice a file that is cut off between members.
      while limited.read(2**20):
        pass
      if file.tell() < tar.offset + tarfile.BLOCKSIZE:
        raise tarfile.ReadError('it ends too early')


class _Limited(io.RawIOBase):
  """A stream that refuses to give more than its budget, headers included."""

  def __init__(self, file: io.BufferedIOBase, path: pathlib.Path, budget: int):
    self._file, self._path, self._left = file, path, budget + 2**20

  def read(self, size: int = -1) -> bytes:
    """Reads at most `size` bytes; raises a UserError beyond the budget."""
    data = self._file.read(size)
    self._left -= len(data)
    if self._left < 0:
      raise _bomb(self._path)
    return data


def _decompressed(path: pathlib.Path) -> io.BufferedIOBase:
  """Opens a file, decompressing gzip, bzip2 and xz."""
  with open(path, 'rb') as file:
    start = file.read(6)
  openers = {b'\x1f\x8b': gzip.open, b'BZh': bz2.open}
  openers[b'\xfd7zXZ\x00'] = lzma.open
  for magic, opener in openers.items():
    if start.startswith(magic):
      return opener(path)
  return open(path, 'rb')


def _unpacking(members: Iterable, path: pathlib.Path) -> Iterable:
  """Shows the progress of unpacking an archive."""
  total = len(members) if isinstance(members, list) else None
  return shown(members, f'unpacking {path.name}', f'unpacking {path}', total)


def shown(
  items: Iterable[T], label: str, line: str, total: int | None
) -> Iterable[T]:
  """Shows a labeled progress bar in a terminal, or else prints a line."""
  console = rich.console.Console(highlight=False, soft_wrap=True)
  if not console.is_terminal:
    console.print(line, markup=False)
  return rich.progress.track(
    items,
    label,
    total=total,
    console=console,
    disable=not console.is_terminal,
    transient=True,
  )
