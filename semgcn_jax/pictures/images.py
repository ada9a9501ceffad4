"""Reads images `[H, W, 3]` uint8, RGB, and encodes them as small JPEG files."""

import io
import math
import pathlib

import numpy as np
from PIL import ExifTags, Image, ImageOps

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
      return np.asarray(_eight_bits(upright).convert('RGB'))
  except UserError:
    raise
  except Exception as error:  # On damage, the decoder can raise anything.
    raise UserError(
      f'{path}: not an image, or a damaged one ({type(error).__name__}); give'
      ' a PNG or JPEG file'
    ) from error


def field_of_view(path: pathlib.Path) -> float | None:
  """Reads the field of view of a photograph's longer side from its EXIF data.

  Returns:
    The angle, degrees; None if the file has no focal length in 35 mm film, or
    has been cropped since.
  """
  tags = ExifTags.Base
  try:
    with Image.open(io.BytesIO(read_bytes(path))) as image:
      exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
      size = exif.get(tags.ExifImageWidth), exif.get(tags.ExifImageHeight)
      focal = float(exif[tags.FocalLengthIn35mmFilm])
      aspect = max(image.size) / min(image.size)
      known = [float(side) for side in size if side]
  except Exception:  # On damage, the decoder can raise anything.
    return None
  if len(known) == 2 and abs(max(known) / min(known) / aspect - 1) > 0.01:
    return None
  if not 5 <= focal <= 600:  # 0 stands for unknown.
    return None
  # By the diagonal, which is how makers compare sensors of other shapes.
  half_diagonal = math.hypot(36, 24) / 2
  half_side = half_diagonal * aspect / math.hypot(aspect, 1)
  return math.degrees(2 * math.atan(half_side / focal))


def _eight_bits(image: Image.Image) -> Image.Image:
  """Scales gray levels of more than 8 bits, which Pillow would cut off."""
  if image.mode not in ('I', 'F') and not image.mode.startswith('I;16'):
    return image
  levels = np.nan_to_num(np.asarray(image, np.float64))
  highest = levels.max(initial=0)
  # Floats may be shares; others have as many bits as they need.
  whites = [1.0] if image.mode == 'F' else []
  whites += [2.0**bits - 1 for bits in (8, 12, 16)]
  white = next((white for white in whites if highest <= white), highest)
  return Image.fromarray(np.clip(levels / white * 255, 0, 255).astype(np.uint8))


def limited(image: np.ndarray, longest: int) -> np.ndarray:
  """Shrinks an image to at most `longest` pixels on a side."""
  if max(image.shape[:2]) <= longest:
    return image
  picture = Image.fromarray(image)
  picture.thumbnail((longest, longest))
  return np.asarray(picture)


def stretched(image: np.ndarray, aspect: float) -> np.ndarray:
  """Widens an image whose pixels are `aspect` times as wide as high."""
  height, width = image.shape[:2]
  size = (round(width * aspect), height)
  if aspect < 1:
    size = (width, round(height / aspect))
  return np.asarray(Image.fromarray(image).resize(size))


def shrunk(image: np.ndarray, size: int) -> np.ndarray:
  """Averages an image to `[size, size]` gray levels, float32."""
  gray = Image.fromarray(image).convert('L')
  small = gray.resize((size, size), Image.Resampling.BOX)
  return np.asarray(small, np.float32)


def to_jpeg(image: np.ndarray, longest: int) -> bytes:
  """Encodes an image as JPEG, with at most `longest` pixels on a side."""
  picture = Image.fromarray(image)
  # Averaging whole pixels first is several times faster.
  picture.thumbnail((longest, longest), reducing_gap=1.0)
  file = io.BytesIO()
  picture.save(file, 'JPEG', quality=_QUALITY)
  return file.getvalue()
