"""Unpacks what a conversion needs from an archive, safely."""

import pathlib
import re
import shutil
import zipfile
import zlib

from semgcn_jax.errors import UserError

MAX_MEMBER = 2**30  # Bytes; no file that we read is as large.


def unpack_zip(
  path: pathlib.Path, wanted: re.Pattern, folder: pathlib.Path
) -> None:
  """Unpacks the members whose whole name matches.

  Each is written to `folder` under the pattern's groups as path, so that no
  name in the archive decides where it goes.

  Args:
    path: the archive.
    wanted: with a group for each part of the path to write.
    folder: to unpack into.

  Raises:
    UserError: a damaged archive; a member that is a link, lies outside of the
      archive's folder, or is too large to be what it claims; nothing is left
      outside of `folder`.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      for member in archive.infolist():
        name = member.filename
        if '..' in pathlib.PurePosixPath(name).parts or name.startswith('/'):
          raise UserError(
            f'{path}: refused, its member {name!r} lies outside of the archive'
          )
        match = wanted.fullmatch(name)
        if not match:
          continue
        if (member.external_attr >> 16) & 0o170000 == 0o120000:
          raise UserError(f'{path}: refused, its member {name!r} is a link')
        if member.file_size > MAX_MEMBER:
          raise UserError(
            f'{path}: refused, its member {name!r} would be'
            f' {member.file_size:,} bytes'
          )
        target = folder.joinpath(*match.groups())
        target.parent.mkdir(parents=True, exist_ok=True)
        # ZipFile stops at file_size, whatever the data would become.
        with archive.open(member) as source, open(target, 'wb') as file:
          shutil.copyfileobj(source, file)
  except (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
  ) as error:
    raise UserError(
      f'{path}: cut off or not a zip archive ({error}); copy it again'
    ) from error
  except OSError as error:
    raise UserError(f'{path}: cannot be unpacked: {error.strerror}') from error
