"""Reads images `[H, W, 3]` uint8, RGB, and encodes them as small JPEG files."""

import io
import pathlib

import numpy as np
from PIL import Image, ImageOps

from semgcn_jax.errors import UserError
from semgcn_jax.files import read_bytes

ENDINGS = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff')
MAX_PIXELS = 100_000_000  # Of an image, checked before decoding.
_QUALITY = 80  # Of JPEG files, out of 100.


def read_image(path: pathlib.Path) -> np.ndarray:
  """Reads an image `[H, W, 3]`, turned upright according to its EXIF data.

  Raises:
    UserError: It cannot be read, or is too large.
  """
  try:
    content = read_bytes(path)
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  try:
    with Image.open(io.BytesIO(content)) as image:
      width, height = image.size
      if width * height > MAX_PIXELS:
        raise UserError(
          f'{path}: {width} x {height} pixels, more than {MAX_PIXELS:,}; make'
          ' the image smaller'
        )
      image.load()
      upright = ImageOps.exif_transpose(image)
      return np.asarray(upright.convert('RGB'))
  except UserError:
    raise
  except Exception as error:  # On damage, the decoder can raise anything.
    raise UserError(
      f'{path}: not an image, or a damaged one ({type(error).__name__}); give'
      ' a PNG or JPEG file'
    ) from error


def to_jpeg(image: np.ndarray, longest: int) -> bytes:
  """Encodes an image as JPEG, with at most `longest` pixels on a side."""
  picture = Image.fromarray(image)
  picture.thumbnail((longest, longest))
  file = io.BytesIO()
  picture.save(file, 'JPEG', quality=_QUALITY)
  return file.getvalue()
