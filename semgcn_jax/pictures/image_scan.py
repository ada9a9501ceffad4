"""Finds pictures that cannot be used, without decoding any.

The folders are listed, and of each file the head and the end are read: so
300,000 files take a minute or less. What is damaged in its middle is found when
it is decoded, see `image_files`.
"""

import logging
import os
import pathlib
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import numpy as np

from semgcn_jax.errors import UserError, listed, shortened
from semgcn_jax.files import open_plain
from semgcn_jax.pictures.image_files import MAX_SIDE
from semgcn_jax.pictures.images import MAX_PIXELS

MISSING = 'missing'
UNREADABLE = 'unreadable'
CUT_OFF = 'cut off'
OTHER_FORMAT = 'neither JPEG nor PNG'
GREY = 'grey'
CMYK = 'CMYK'
TOO_LARGE = 'too large'
OUTSIDE = 'with a crop outside of the picture'
OTHER_SIZE = 'of another size than the camera'
_NAMED = 3  # So many files of a kind are named.
_TAIL = 2048  # The bytes in which most pictures end; cameras add some.
_PNG = b'\x89PNG\r\n\x1a\n'
# A camera's picture may differ by so many pixels from its calibration.
_TOLERANCE = 8


def scan(
  paths: Sequence[str],
  boxes: np.ndarray,
  sizes: np.ndarray | None = None,
) -> dict[int, str]:
  """Finds the rows whose picture cannot be used.

  Args:
    paths: The file of each row.
    boxes: The square of each row, `[N, 4]`: left, top, width, height, pixels.
    sizes: The width and height that each picture must have, `[N, 2]`, within
      some pixels; None if any will do.

  Returns:
    {row: what is wrong}, for those rows.
  """
  there = _existing(paths)
  with ThreadPoolExecutor(min(16, 4 * (os.cpu_count() or 1))) as pool:
    chunks = [there[start : start + 256] for start in range(0, len(there), 256)]
    found: dict[str, str | tuple[int, int]] = {}
    for chunk, looks in zip(
      chunks, pool.map(_look_at_all, chunks), strict=True
    ):
      found.update(zip(chunk, looks, strict=True))
  problems = {}
  for row, path in enumerate(paths):
    look = found.get(path, MISSING)
    if isinstance(look, str):
      problems[row] = look
      continue
    left, top, width, height = boxes[row]
    if sizes is not None and abs(sizes[row] - look).max() > _TOLERANCE:
      problems[row] = OTHER_SIZE
    elif not (
      0 < width <= MAX_SIDE
      and 0 < height <= MAX_SIDE
      and -width < left < look[0]
      and -height < top < look[1]
    ):
      problems[row] = OUTSIDE
  return problems


def sound_rows(
  problems: Mapping[int, str],
  paths: Sequence[str],
  folder: pathlib.Path,
  *,
  train: bool,
) -> np.ndarray:
  """Leaves out pictures that cannot be used, or refuses them.

  Training goes on without them, and a warning names the first of each kind and
  counts them. An evaluation without them would be another one.

  Args:
    problems: What `scan` has found.
    paths: The file of each row.
    folder: The folder that all are in, which messages name once.
    train: Whether the rows are to train on.

  Returns:
    The rows that can be used, in their order.

  Raises:
    UserError: There are such pictures in an evaluation; or no others.
  """
  kinds: dict[str, list[int]] = {}
  for row, kind in sorted(problems.items()):
    kinds.setdefault(kind, []).append(row)
  what = '; '.join(
    f'{len(rows):,} {kind} ({listed(_first(rows, paths, folder))})'
    for kind, rows in kinds.items()
  )
  count = f'{len(problems):,} of {len(paths):,} pictures'
  if problems and len(problems) == len(paths):
    raise UserError(f'{folder}: none of the pictures can be used: {what}')
  if problems and not train:
    raise UserError(
      f'{folder}: {count} to score cannot be used: {what}; mend them, or leave'
      ' them out of the data'
    )
  if problems:
    logging.getLogger('semgcn_jax').warning(
      '%s: training leaves out %s: %s', folder, count, what
    )
  keep = np.ones(len(paths), bool)
  keep[list(problems)] = False
  return np.flatnonzero(keep)


def _first(
  rows: Sequence[int], paths: Sequence[str], folder: pathlib.Path
) -> list[str]:
  """Names the first files of some rows, as they are called in the folder."""
  names = list(dict.fromkeys(os.path.relpath(paths[r], folder) for r in rows))
  first = [shortened(name, 80) for name in names[:_NAMED]]
  return first + (['...'] if len(names) > _NAMED else [])


def _existing(paths: Sequence[str]) -> list[str]:
  """Picks, once each, the paths that are plain files, by listing folders."""
  wanted: dict[str, dict[str, str]] = {}
  for path in paths:
    folder, name = os.path.split(path)
    wanted.setdefault(folder, {})[name] = path
  there = []
  for folder, names in wanted.items():
    try:
      with os.scandir(folder or '.') as entries:
        there += [
          names[entry.name]
          for entry in entries
          if entry.name in names and entry.is_file()
        ]
    except OSError:
      continue
  return there


def _look_at_all(paths: Sequence[str]) -> list[str | tuple[int, int]]:
  """Looks at some files, see `look_at`."""
  return [look_at(path) for path in paths]


def look_at(path: str) -> str | tuple[int, int]:
  """Reads the head and the end of a picture.

  Args:
    path: The file.

  Returns:
    Its width and height in pixels, or else what is wrong with it.
  """
  try:
    with open_plain(path) as file:
      begin = file.read(32)
      if begin.startswith(b'\xff\xd8'):
        look, start, end = _jpeg_head(file), file.tell(), b'\xff\xd9'
      elif begin.startswith(_PNG):
        look, start, end = _png_head(begin), 32, b'IEND'
      else:
        return OTHER_FORMAT if begin else CUT_OFF
      if isinstance(look, str):
        return look
      if look[0] * look[1] > MAX_PIXELS:
        return TOO_LARGE
      size = file.seek(0, os.SEEK_END)
      file.seek(max(start, size - _TAIL))
      if end in file.read(_TAIL):
        return look
      # More may follow, such as the short video of a phone.
      file.seek(start)
      return look if end in file.read() else CUT_OFF
  except OSError:
    return UNREADABLE


def _png_head(begin: bytes) -> str | tuple[int, int]:
  """Reads the width, the height and the colours of a PNG."""
  if len(begin) < 26:
    return CUT_OFF
  width, height, _, colours = struct.unpack('>IIBB', begin[16:26])
  return GREY if colours in (0, 4) else (width, height)


def _jpeg_head(file: IO[bytes]) -> str | tuple[int, int]:
  """Reads the width, the height and the colours of a JPEG.

  The file is left behind the segment that tells them: a preview before it has
  an end of its own.
  """
  file.seek(2)
  while True:
    head = file.read(4)
    if len(head) < 4:
      return CUT_OFF
    mark, kind, length = struct.unpack('>BBH', head)
    if mark != 0xFF or length < 2:
      return UNREADABLE
    if kind == 0xFF:  # Any number of these may come before a segment.
      file.seek(-3, os.SEEK_CUR)
    elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
      frame = file.read(6)
      if len(frame) < 6:
        return CUT_OFF
      _, height, width, parts = struct.unpack('>BHHB', frame)
      named = {1: GREY, 4: CMYK}.get(parts)
      return named or ((width, height) if parts == 3 else UNREADABLE)
    else:
      file.seek(length - 2, os.SEEK_CUR)
