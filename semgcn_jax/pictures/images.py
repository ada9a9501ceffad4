"""Reads pictures, and makes small JPEG files of them.

Pictures are arrays `[H, W, 3]` of bytes: red, green, blue.
"""

import io
import pathlib

import numpy as np
from PIL import Image, ImageOps

from semgcn_jax.errors import UserError
from semgcn_jax.files import read_bytes

ENDINGS = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff')
MAX_PIXELS = 100_000_000  # Of a picture, before it is decoded.
_QUALITY = 80  # Of JPEG files, of 100.


def read_image(path: pathlib.Path) -> np.ndarray:
  """Reads a picture upright, as its camera noted it, `[H, W, 3]`.

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
          ' the picture smaller'
        )
      image.load()
      upright = ImageOps.exif_transpose(image)
      return np.asarray(upright.convert('RGB'))
  except UserError:
    raise
  # A damaged picture makes the decoder raise anything.
  except Exception as error:
    raise UserError(
      f'{path}: not a picture, or a damaged one ({type(error).__name__}); give'
      ' a PNG or JPEG file'
    ) from error


def to_jpeg(image: np.ndarray, longest: int) -> bytes:
  """Makes a JPEG file whose longer side has at most so many pixels."""
  picture = Image.fromarray(image)
  picture.thumbnail((longest, longest))
  file = io.BytesIO()
  picture.save(file, 'JPEG', quality=_QUALITY)
  return file.getvalue()
