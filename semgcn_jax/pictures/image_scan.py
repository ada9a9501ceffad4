"""Finds unusable images without decoding them.

Only folder listings and the start and end of each file are read, so 300,000
files take a minute or less. Damage inside a file is found when it is decoded;
see `image_files`. Headers are parsed by hand, since Pillow is slower, warns
about some files, and does not distinguish cut-off files from other damage.
"""

import logging
import os
import pathlib
import struct
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import numpy as np
from PIL import ExifTags, Image

from semgcn_jax.errors import UserError, listed, shortened
from semgcn_jax.files import open_plain
from semgcn_jax.pictures.image_files import MAX_SIDE
from semgcn_jax.pictures.images import MAX_PIXELS

MISSING = 'missing'
UNREADABLE = 'unreadable'
CUT_OFF = 'cut off'
OTHER_FORMAT = 'neither JPEG nor PNG'
GRAY = 'gray'
CMYK = 'CMYK'
TOO_LARGE = 'too large'
OUTSIDE = 'with a crop outside of the image'
OTHER_SIZE = 'of another size than the camera'
_TURNS = 200  # Images to look at for noted turns.
_NAMED = 3  # Files to name per kind of problem.
_TAIL = 2048  # Most images end in these bytes; cameras append some.
_PNG = b'\x89PNG\r\n\x1a\n'
_TOLERANCE = 8  # Pixels by which an image may differ from its calibration.


def scan(
  paths: Sequence[str],
  boxes: np.ndarray,
  sizes: np.ndarray | None = None,
) -> dict[int, str]:
  """Finds the rows with unusable images, {row: what is wrong}.

  Args:
    paths: The file of each row.
    boxes: The square of each row, `[N, 4]`: left, top, width, height, pixels.
    sizes: The width and height that each image must have, `[N, 2]`, within a
      few pixels; None accepts any.
  """
  there = _existing(paths)
  # In chunks, since a task per file would cost more than reading it.
  chunks = [there[start : start + 256] for start in range(0, len(there), 256)]
  found: dict[str, str | tuple[int, int]] = {}
  with ThreadPoolExecutor(min(16, 4 * (os.cpu_count() or 1))) as pool:
    for looks in pool.map(lambda chunk: {p: look_at(p) for p in chunk}, chunks):
      found |= looks
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


def note_turns(paths: Sequence[str], folder: pathlib.Path) -> None:
  """Notes images that cameras have stored turned, and that are not turned back.

  Args:
    paths: The file of each row, of which some are looked at.
    folder: The folder, for the note.
  """
  some = paths[:: max(1, len(paths) // _TURNS)]
  turned = sum(map(_is_turned, some))
  if turned:
    logging.getLogger('semgcn_jax').warning(
      '%s: %d of %d images have a turn noted (EXIF); they are taken as stored,'
      ' so keypoints must be those of the stored image',
      folder,
      turned,
      len(some),
    )


def _is_turned(path: str) -> bool:
  """Whether the EXIF data of an image say to turn it."""
  try:
    with warnings.catch_warnings(), Image.open(path) as image:
      warnings.simplefilter('ignore')
      return image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
  except Exception:  # On damage Pillow raises anything; `look_at` reports it.
    return False


def sound_rows(
  problems: Mapping[int, str],
  paths: Sequence[str],
  folder: pathlib.Path,
  *,
  train: bool,
) -> np.ndarray:
  """Drops unusable images from training, and refuses them in evaluation.

  Training continues with a warning that counts them and names the first of each
  kind. An evaluation without them would not be the same one.

  Args:
    problems: The result of `scan`.
    paths: The file of each row.
    folder: The folder of all files, which messages name once.
    train: Whether the rows are training rows.

  Returns:
    The usable rows, in order.

  Raises:
    UserError: An evaluation has unusable images, or there are no others.
  """
  kinds: dict[str, list[int]] = {}
  for row, kind in sorted(problems.items()):
    kinds.setdefault(kind, []).append(row)
  what = '; '.join(
    f'{len(rows):,} {kind} ({listed(_first(rows, paths, folder))})'
    for kind, rows in kinds.items()
  )
  count = f'{len(problems):,} of {len(paths):,} images'
  if problems and len(problems) == len(paths):
    raise UserError(f'{folder}: none of the images can be used: {what}')
  if problems and not train:
    raise UserError(
      f'{folder}: {count} to score cannot be used: {what}; fix them, or leave'
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
  """Names the first files of some rows, relative to the folder."""
  names = list(dict.fromkeys(os.path.relpath(paths[r], folder) for r in rows))
  first = [shortened(name, 80) for name in names[:_NAMED]]
  return first + (['...'] if len(names) > _NAMED else [])


def _existing(paths: Sequence[str]) -> list[str]:
  """Selects the paths that are plain files, once each, by listing folders."""
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


def look_at(path: str) -> str | tuple[int, int]:
  """Returns the width and height of an image file, or what is wrong with it."""
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
      # More may follow, such as a phone's short video.
      file.seek(start)
      return look if end in file.read() else CUT_OFF
  except OSError:
    return UNREADABLE


def _png_head(begin: bytes) -> str | tuple[int, int]:
  """Reads the width, height and color type of a PNG."""
  if len(begin) < 26:
    return CUT_OFF
  width, height, _, colors = struct.unpack('>IIBB', begin[16:26])
  return GRAY if colors in (0, 4) else (width, height)


def _jpeg_head(file: IO[bytes]) -> str | tuple[int, int]:
  """Reads the width, height and color type of a JPEG.

  Leaves the file after the segment that holds them, past any preview, which has
  its own end marker.
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
      named = {1: GRAY, 4: CMYK}.get(parts)
      return named or ((width, height) if parts == 3 else UNREADABLE)
    else:
      file.seek(length - 2, os.SEEK_CUR)
