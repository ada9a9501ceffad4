"""Unpacks what a conversion needs from archives, safely and streaming."""

import bz2
import contextlib
import gzip
import lzma
import pathlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
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
  try:
    with contextlib.closing(members(path)) as found:
      for name, size, is_link, is_file, open_member in found:
        _check_name(path, name)
        if is_link:
          raise UserError(f'{path}: refused, its member {name!r} is a link')
        budget -= size
        if budget < 0 or (wanted(name) and size > MAX_MEMBER):
          raise UserError(
            f'{path}: refused, its member {name!r} would be {size:,} bytes,'
            ' too many for such an archive'
          )
        if not is_file or not wanted(name):
          continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Both readers stop at the size, whatever the data would become.
        with open_member() as source, open(target, 'wb') as file:
          shutil.copyfileobj(source, file)
  except (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError),
    *(lzma.LZMAError, NotImplementedError, RuntimeError, ValueError),
  ) as error:
    raise UserError(
      f'{path}: cut off or not a zip or tar archive ({error}); copy it again'
    ) from error
  except OSError as error:
    # A damaged compressed stream is an OSError without a number.
    reason = error.strerror or f'{error}; copy it again'
    raise UserError(f'{path}: cannot be unpacked: {reason}') from error


def _check_name(path: pathlib.Path, name: str) -> None:
  parts = pathlib.PurePosixPath(name.replace('\\', '/')).parts
  if '..' in parts or name[:1] in ('/', '\\') or ':' in parts[:1]:
    raise UserError(
      f'{path}: refused, its member {name!r} lies outside of the archive'
    )


# (name, bytes, whether a link, whether a file, how to open it)
Member = tuple[str, int, bool, bool, Callable[[], IO[bytes]]]


def _zip_members(path: pathlib.Path) -> Iterator[Member]:
  with zipfile.ZipFile(path) as archive:
    for member in _shown(archive.infolist(), path):
      yield (
        member.filename,
        member.file_size,
        stat.S_ISLNK(member.external_attr >> 16),
        not member.is_dir(),
        lambda member=member: archive.open(member),
      )


def _tar_members(path: pathlib.Path) -> Iterator[Member]:
  # 'r|' reads once from the start to the end, as a stream must be.
  with (
    _decompressed(path) as file,
    tarfile.open(fileobj=file, mode='r|') as tar,
  ):
    for member in _shown(tar, path):
      yield (
        member.name,
        member.size,
        member.issym() or member.islnk(),
        member.isfile(),
        lambda member=member: tar.extractfile(member),
      )
    # To the end, where checksums are; tarfile misses a cut between members.
    while file.read(2**20):
      pass
    if file.tell() < tar.offset + tarfile.BLOCKSIZE:
      raise tarfile.ReadError('it ends too early')


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


def _shown(members, path: pathlib.Path):
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
