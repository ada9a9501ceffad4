"""Reads people out of files of pictures, as squares of one size.

A file is read and decoded when its row is asked for; nothing is kept.
"""

import dataclasses
import functools
import io
import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from semgcn_jax.errors import UserError
from semgcn_jax.files import read_bytes
from semgcn_jax.pictures.images import MAX_PIXELS

FILL = 128  # The grey of what a square shows beyond its picture.
MAX_SIDE = 10_000  # Of a square, in pixels: what is beyond would fill memory.
_MOST_DAMAGED = 100  # So many files one after the other are not bad luck.
_JPEG = b'\xff\xd8'


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
  """The people in files of pictures: reads like an array of their squares.

  Pictures are read as they are stored: a turn that a camera has noted in them
  is not made, since the boxes are those of the stored picture.

  Attributes:
    paths: The file of each row, of JPEG or PNG.
    boxes: The square of each row, `[N, 4]`: left, top, width and height, pixels
      of the picture. What is beyond the picture is filled with grey.
    size: The pixels S of a side of what is read.
  """

  paths: tuple[str, ...]
  boxes: np.ndarray
  size: int

  def __len__(self) -> int:
    return len(self.paths)

  @property
  def shape(self) -> tuple[int, int, int, int]:
    """The shape of the array that this stands for, `[N, S, S, 3]`."""
    return len(self), self.size, self.size, 3

  @property
  def ndim(self) -> int:
    """The number of its axes."""
    return 4

  @property
  def dtype(self) -> np.dtype:
    """The type of its elements, which are bytes."""
    return np.dtype(np.uint8)

  @property
  def nbytes(self) -> int:
    """The bytes that all its rows would take in memory."""
    return math.prod(self.shape)

  def __getitem__(self, rows: Any) -> np.ndarray:
    """Reads rows, several at once.

    Args:
      rows: Whatever picks rows of an array: `[n]` integers, or a slice.

    Returns:
      Their squares, `[n, S, S, 3]` uint8, RGB.

    Raises:
      UserError: A file is missing or damaged; the message names it.
    """
    rows = np.arange(len(self))[rows]
    pictures = np.empty((*rows.shape, *self.shape[1:]), np.uint8)
    flat = pictures.reshape(-1, *self.shape[1:])

    def read(place_and_row):
      place, row = place_and_row
      flat[place] = self.read(row)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
      for _ in pool.map(read, enumerate(rows.ravel().tolist())):
        pass
    return pictures

  def take(self, rows: np.ndarray) -> 'ImageFiles':
    """Makes the same of some rows, without reading them."""
    paths = tuple(self.paths[row] for row in rows)
    return ImageFiles(paths, self.boxes[rows], self.size)

  def read(self, row: int) -> np.ndarray:
    """Reads a row, `[S, S, 3]` uint8, RGB.

    Raises:
      UserError: The file is missing or damaged; the message names it.
    """
    try:
      return read_square(self.paths[row], self.boxes[row], self.size)
    except OSError as error:
      reason = error.strerror or str(error)
    except (ValueError, MemoryError) as error:
      reason = f'damaged ({" ".join(str(error).split())[:100]})'
    raise UserError(
      f'{self.paths[row]}: {reason}; copy the picture again, or leave it out'
    )

  def read_sound(self, row: int) -> tuple[np.ndarray, int]:
    """Reads a row, or the next one that is sound.

    Only decoding finds damage in the middle of a file. Training goes on with
    the next row then, which depends on nothing but the files.

    Returns:
      The square `[S, S, 3]` uint8, and the row that it is of.

    Raises:
      UserError: Many rows one after the other cannot be read.
    """
    error = UserError('no pictures')
    for step in range(min(len(self), _MOST_DAMAGED)):
      used = (row + step) % len(self)
      try:
        return self.read(used), used
      except UserError as problem:
        error = problem
    raise UserError(f'{error}; nor could those before it in the list be read')


def read_square(path: str, box: np.ndarray, size: int) -> np.ndarray:
  """Reads a square of a picture.

  Args:
    path: The file, of JPEG or PNG.
    box: The square: left, top, width and height, pixels.
    size: The pixels of a side of the result.

  Returns:
    The square, `[S, S, 3]` uint8, RGB, smoothed as far as it shrinks.

  Raises:
    OSError: The file cannot be read.
    ValueError: It is damaged, too large, or is not in colour.
  """
  content = read_bytes(path)
  side = float(box[2])
  picture, scale = _decode(content, size / side if side > 2 * size else 1.0)
  return cut_square(picture, box * scale, size)


def cut_square(picture: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
  """Cuts a square out of a picture, and scales it.

  Args:
    picture: The picture, `[H, W, 3]` uint8.
    box: The square: left, top, width and height, pixels; what is beyond the
      picture becomes grey.
    size: The pixels of a side of the result.

  Returns:
    The square, `[S, S, 3]` uint8, smoothed as far as it shrinks.

  Raises:
    ValueError: The square lies outside of the picture, or is empty or so large
      that it would fill the memory.
  """
  left, top, side = (float(x) for x in box[:3])
  if not 0 < side <= MAX_SIDE:
    raise ValueError(
      f'the crop has {side:g} pixels a side, not up to {MAX_SIDE:,}'
    )
  x0, y0 = math.floor(left), math.floor(top)
  x1, y1 = math.ceil(left + side), math.ceil(top + side)
  part = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
  if not part.size:
    raise ValueError('the crop lies outside of the picture')
  if part.shape[:2] != (y1 - y0, x1 - x0):
    whole = np.full((y1 - y0, x1 - x0, 3), FILL, np.uint8)
    y, x = max(-y0, 0), max(-x0, 0)
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part
    part = whole
  within = (left - x0, top - y0, left - x0 + side, top - y0 + side)
  resized = Image.fromarray(part).resize(
    (size, size), Image.Resampling.BILINEAR, box=within
  )
  return np.asarray(resized)


def _decode(content: bytes, scale: float) -> tuple[np.ndarray, float]:
  """Decodes a picture, perhaps smaller than it is.

  Args:
    content: The file.
    scale: The least size that will do, as a share of the picture's own.

  Returns:
    The picture, `[H, W, 3]` uint8, RGB; and its size as a share of its own.

  Raises:
    OSError, ValueError: It is damaged, too large, or is not in colour.
  """
  simplejpeg = _simplejpeg() if content.startswith(_JPEG) else None
  if simplejpeg is None:
    return _decode_by_pillow(content), 1.0
  height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
  if height * width > MAX_PIXELS:
    raise ValueError(f'{width} x {height} pixels are too many')
  if colours in ('Gray', 'CMYK', 'YCCK'):
    raise ValueError(f'its colours are {colours}, not RGB')
  # Of fewer pixels the sizes below would not tell the scale, being rounded.
  if scale >= 1 or min(height, width) < 16:
    return simplejpeg.decode_jpeg(content), 1.0
  # The decoder leaves out what a picture of n / 8 of the size does not show.
  picture = simplejpeg.decode_jpeg(
    content,
    min_height=math.ceil(height * scale),
    min_width=math.ceil(width * scale),
  )
  return picture, round(8 * picture.shape[1] / width) / 8


def _decode_by_pillow(content: bytes) -> np.ndarray:
  """Decodes PNG, or JPEG where simplejpeg is not installed.

  Raises:
    OSError, ValueError: It is damaged, too large, or is not in colour.
  """
  try:
    with Image.open(io.BytesIO(content), formats=('PNG', 'JPEG')) as picture:
      width, height = picture.size
      if height * width > MAX_PIXELS:
        raise ValueError(f'{width} x {height} pixels are too many')
      if picture.mode in ('1', 'L', 'LA', 'I', 'I;16', 'CMYK'):
        raise ValueError(f'its colours are {picture.mode}, not RGB')
      return np.asarray(picture.convert('RGB'))
  except (OSError, ValueError):
    raise
  except Exception as error:  # Of damage the decoder of PNG makes anything.
    raise ValueError(f'{type(error).__name__}: {error}') from error


@functools.cache
def _simplejpeg() -> Any:
  """Imports simplejpeg, the fast decoder; None if it is not installed."""
  try:
    import simplejpeg  # pyright: ignore[reportMissingImports]
  except ImportError:
    return None
  return simplejpeg
