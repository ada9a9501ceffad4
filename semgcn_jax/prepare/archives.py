"""Unpacks what a conversion needs from archives, safely and streaming."""

import bz2
import contextlib
import dataclasses
import functools
import gzip
import lzma
import pathlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO

import rich.console
import rich.progress

from semgcn_jax.errors import UserError

SUFFIXES = ('.zip', '.tar', '.tgz', '.tar.gz', '.tar.bz2', '.tar.xz')
# No file that we read is as large, nor compresses as well: text by about five,
# recordings hardly.
MAX_MEMBER = 2**30  # Bytes.
MAX_RATIO = 100
MIN_TOTAL = 2**26  # Bytes that an archive of any size may hold.


def is_archive(path: pathlib.Path) -> bool:
  return path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpack(
  path: pathlib.Path, wanted: Callable[[str], bool], folder: pathlib.Path
) -> None:
  """Unpacks the members that are wanted, under their names.

  Args:
    path: a zip or tar archive, the latter plain or compressed.
    wanted: tells by a member's name.
    folder: to unpack into.

  Raises:
    UserError: a damaged archive; a member that is a link or lies outside of
      the archive; more data than such an archive can hold. Nothing is written
      outside of `folder`.
  """
  budget = max(MIN_TOTAL, MAX_RATIO * path.stat().st_size)
  members = _zip_members if zipfile.is_zipfile(path) else _tar_members
  total = 0
  try:
    with contextlib.closing(members(path, budget)) as found:
      for member in found:
        _check_name(path, member.name)
        if not member.is_plain:
          raise UserError(
            f'{path}: refused, its member {member.name!r} is a link or device'
          )
        total += member.size
        is_wanted = wanted(member.name)
        if total > budget or (is_wanted and member.size > MAX_MEMBER):
          raise _bomb(path)
        if member.is_folder or not is_wanted:
          continue
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Both readers stop at the size, whatever the data would become.
        with member.open() as source, open(target, 'wb') as file:
          shutil.copyfileobj(source, file)
  except (
    # RuntimeError: encrypted; NotImplementedError: an unknown compression;
    # ValueError: a header that contradicts itself.
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError),
    *(lzma.LZMAError, NotImplementedError, RuntimeError, ValueError),
  ) as error:
    raise UserError(
      f'{path}: cut off or not a zip or tar archive ({error}); copy it again,'
      ' or move it away'
    ) from error
  except OSError as error:
    # A damaged compressed stream is an OSError without a number.
    reason = error.strerror or f'{error}; copy it again'
    raise UserError(f'{path}: cannot be unpacked: {reason}') from error


def _bomb(path: pathlib.Path) -> UserError:
  return UserError(
    f'{path}: refused, it would unpack to more than such an archive can hold'
  )


def _check_name(path: pathlib.Path, name: str) -> None:
  parts = pathlib.PurePosixPath(name.replace('\\', '/')).parts
  if '..' in parts or name[:1] in ('/', '\\') or ':' in ''.join(parts[:1]):
    raise UserError(
      f'{path}: refused, its member {name!r} lies outside of the archive'
    )


@dataclasses.dataclass(frozen=True)
class Member:
  """What an archive says of a member; `open` gives its data."""

  name: str
  size: int
  is_folder: bool
  is_plain: bool  # A file or folder.
  open: Callable[[], IO[bytes]]


def _zip_members(path: pathlib.Path, budget: int) -> Iterator[Member]:
  del budget  # Sizes are known beforehand.
  with zipfile.ZipFile(path) as archive:
    for info in _shown(archive.infolist(), path):
      kind = stat.S_IFMT(info.external_attr >> 16)
      yield Member(
        name=info.filename,
        size=info.file_size,
        is_folder=info.is_dir(),
        is_plain=kind in (0, stat.S_IFREG, stat.S_IFDIR),
        open=functools.partial(archive.open, info),
      )


def _tar_members(path: pathlib.Path, budget: int) -> Iterator[Member]:
  # 'r|' reads once from the start to the end, as a stream must be.
  with (
    _decompressed(path) as file,
    tarfile.open(fileobj=_Limited(file, path, budget), mode='r|') as tar,
  ):
    for info in _shown(tar, path):
      yield Member(
        name=info.name,
        size=info.size,
        is_folder=info.isdir(),
        is_plain=info.isfile() or info.isdir(),
        open=functools.partial(tar.extractfile, info),
      )
    # To the end, where checksums are; tarfile misses a cut between members.
    while tar.fileobj.fileobj.read(2**20):
      pass
    if file.tell() < tar.offset + tarfile.BLOCKSIZE:
      raise tarfile.ReadError('it ends too early')


class _Limited:
  """A stream that refuses to give more than so many bytes, headers included."""

  def __init__(self, file: IO[bytes], path: pathlib.Path, budget: int):
    self._file, self._path, self._left = file, path, budget + 2**20

  def read(self, size: int) -> bytes:
    data = self._file.read(size)
    self._left -= len(data)
    if self._left < 0:
      raise _bomb(self._path)
    return data


def _decompressed(path: pathlib.Path) -> IO[bytes]:
  with open(path, 'rb') as file:
    start = file.read(6)
  for magic, opener in (
    *((b'\x1f\x8b', gzip.open), (b'BZh', bz2.open)),
    (b'\xfd7zXZ\x00', lzma.open),
  ):
    if start.startswith(magic):
      return opener(path)
  return open(path, 'rb')


def _shown(members: Iterable, path: pathlib.Path) -> Iterable:
  """A bar to a person, a line to a file."""
  console = rich.console.Console(highlight=False, soft_wrap=True)
  if not console.is_terminal:
    console.print(f'unpacking {path}', markup=False)
  return rich.progress.track(
    members,
    f'unpacking {path.name}',
    total=len(members) if isinstance(members, list) else None,
    console=console,
    disable=not console.is_terminal,
    transient=True,
  )
