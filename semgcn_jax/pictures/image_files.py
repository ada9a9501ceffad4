"""Reads square crops of people, of one size, from image files.

Files are read and decoded when their rows are requested; nothing is cached.
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

FILL = 128  # The gray of a crop beyond its image.
MAX_SIDE = 10_000  # Pixels of a crop's side; larger ones would fill memory.
_MOST_DAMAGED = 100  # This many damaged files in a row are not bad luck.
_JPEG = b'\xff\xd8'


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
  """The people in image files, indexed like an array of their crops.

  Images are read as stored, ignoring the EXIF orientation, since boxes refer to
  the stored image.

  Attributes:
    paths: The JPEG or PNG file of each row.
    boxes: The square of each row, `[N, 4]`: left, top, width and height, pixels
      of the image. Beyond the image, crops are gray.
    size: The side S of the crops, in pixels.
  """

  paths: tuple[str, ...]
  boxes: np.ndarray
  size: int

  def __len__(self) -> int:
    return len(self.paths)

  @property
  def shape(self) -> tuple[int, int, int, int]:
    """The shape of all crops, `[N, S, S, 3]`."""
    return len(self), self.size, self.size, 3

  @property
  def ndim(self) -> int:
    """The number of its axes."""
    return 4

  @property
  def dtype(self) -> np.dtype:
    """The type of its elements, uint8."""
    return np.dtype(np.uint8)

  @property
  def nbytes(self) -> int:
    """The bytes of all rows in memory."""
    return math.prod(self.shape)

  def __getitem__(self, rows: Any) -> np.ndarray:
    """Reads rows with several threads.

    Args:
      rows: Any index of an array's rows: `[n]` integers, or a slice.

    Returns:
      The crops, `[n, S, S, 3]` uint8, RGB.

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
    """Selects rows without reading them."""
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
      f'{self.paths[row]}: {reason}; copy the image again, or leave it out'
    )

  def read_sound(self, row: int) -> tuple[np.ndarray, int]:
    """Reads a row, or the next sound one, and returns which it was.

    Only decoding finds damage inside a file. Training then continues with the
    next row, a choice that depends on nothing but the files.

    Returns:
      The crop `[S, S, 3]` uint8, and its row.

    Raises:
      UserError: Many consecutive rows cannot be read.
    """
    error = UserError('no images')
    for step in range(min(len(self), _MOST_DAMAGED)):
      used = (row + step) % len(self)
      try:
        return self.read(used), used
      except UserError as problem:
        error = problem
    raise UserError(f'{error}; nor could those before it in the list be read')


def read_square(path: str, box: np.ndarray, size: int) -> np.ndarray:
  """Reads a square crop of a JPEG or PNG file; see `cut_square`.

  Raises:
    OSError: The file cannot be read.
    ValueError: It is damaged, too large, or not in color.
  """
  content = read_bytes(path)
  side = float(box[2])
  picture, scale = _decode(content, size / side if side > 2 * size else 1.0)
  return cut_square(picture, box * scale, size)


def cut_square(picture: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
  """Cuts a square out of an image, and scales it.

  Args:
    picture: The image, `[H, W, 3]` uint8, RGB.
    box: The square: left, top, width and height, pixels; beyond the image, the
      result is gray.
    size: The side S of the result, in pixels.

  Returns:
    The crop, `[S, S, 3]` uint8, antialiased.

  Raises:
    ValueError: The square lies outside the image, is empty, or is so large that
      it would fill memory.
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
    raise ValueError('the crop lies outside of the image')
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
  """Decodes an image, possibly at reduced size.

  Args:
    content: The file.
    scale: The smallest acceptable size, as a share of the full size.

  Returns:
    The image, `[H, W, 3]` uint8, RGB, and its size as a share of the full size.

  Raises:
    OSError, ValueError: It is damaged, too large, or not in color.
  """
  simplejpeg = _simplejpeg() if content.startswith(_JPEG) else None
  if simplejpeg is None:
    return _decode_by_pillow(content), 1.0
  height, width, colors, _ = simplejpeg.decode_jpeg_header(content)
  if height * width > MAX_PIXELS:
    raise ValueError(f'{width} x {height} pixels are too many')
  if colors in ('Gray', 'CMYK', 'YCCK'):
    raise ValueError(f'its colors are {colors}, not RGB')
  # With fewer pixels, the rounded sizes below would not determine the scale.
  if scale >= 1 or min(height, width) < 16:
    return simplejpeg.decode_jpeg(content), 1.0
  # The decoder skips detail that an image at n / 8 of the size does not show.
  picture = simplejpeg.decode_jpeg(
    content,
    min_height=math.ceil(height * scale),
    min_width=math.ceil(width * scale),
  )
  return picture, round(8 * picture.shape[1] / width) / 8


def _decode_by_pillow(content: bytes) -> np.ndarray:
  """Decodes PNG, and JPEG without simplejpeg; raises as `_decode` does."""
  try:
    with Image.open(io.BytesIO(content), formats=('PNG', 'JPEG')) as picture:
      width, height = picture.size
      if height * width > MAX_PIXELS:
        raise ValueError(f'{width} x {height} pixels are too many')
      if picture.mode in ('1', 'L', 'LA', 'I', 'I;16', 'CMYK'):
        raise ValueError(f'its colors are {picture.mode}, not RGB')
      return np.asarray(picture.convert('RGB'))
  except (OSError, ValueError):
    raise
  except Exception as error:  # On damage, the PNG decoder can raise anything.
    raise ValueError(f'{type(error).__name__}: {error}') from error


@functools.cache
def _simplejpeg() -> Any:
  """Imports simplejpeg, a fast decoder; None if it is not installed."""
  try:
    import simplejpeg  # pyright: ignore[reportMissingImports]
  except ImportError:
    return None
  return simplejpeg
