"""Reads videos and cameras, and keeps small images of them.

Images are `[H, W, 3]` uint8, RGB. Videos and cameras need OpenCV, which comes
with the extra `pose`.
"""

import io
import pathlib
import time
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from PIL import Image

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry import rates
from semgcn_jax.pictures import images


class Video:
  """A video or a camera, read image by image.

  Attributes:
    name: The file or the camera, for messages.
    fps: The frames per second; 30 if unknown. A camera's is measured during
      reading, because processing may be slower than the camera.
  """

  def __init__(self, source: pathlib.Path | int, seconds: float | None = None):
    """Opens a video file or a camera.

    Args:
      source: The file, or the camera's number.
      seconds: How long to read; None reads to the end.

    Raises:
      UserError: It cannot be opened.
      SettingError: OpenCV is not installed.
    """
    cv2 = _opencv()
    if isinstance(source, int):
      self.name = f'`camera={source}`'
      self._capture = cv2.VideoCapture(source)
    else:
      self.name = str(source)
      if not source.is_file():
        raise UserError(f'{source}: no such file')
      self._capture = cv2.VideoCapture(self.name)
    if not self._capture.isOpened():
      way_out = (
        'is it connected, and free?'
        if isinstance(source, int)
        else 'give a video that OpenCV decodes, such as MP4 (H.264)'
      )
      raise UserError(f'{self.name}: cannot be opened; {way_out}')
    fps = self._capture.get(cv2.CAP_PROP_FPS)
    self.fps = float(fps) if rates.is_rate(fps) else rates.DEFAULT
    self._most = None if seconds is None else max(1, round(seconds * self.fps))
    self._seconds = seconds if isinstance(source, int) else None

  def __iter__(self) -> Iterator[np.ndarray]:
    """Reads the images, `[H, W, 3]` each.

    Raises:
      UserError: There are none.
    """
    count, began, elapsed = 0, time.monotonic(), 0.0
    try:
      while self._most is None or count < self._most:
        if self._seconds is not None and elapsed >= self._seconds:
          break
        there, picture = self._capture.read()
        if not there:
          break
        count += 1
        elapsed = time.monotonic() - began
        yield np.ascontiguousarray(picture[..., ::-1])
    finally:
      self._capture.release()
    if self._seconds is not None and count > 1:
      self.fps = min(max(count / elapsed, rates.LOWEST), rates.HIGHEST)
    if not count:
      raise UserError(f'{self.name}: holds no image that can be decoded')


def _opencv() -> Any:
  """Imports OpenCV; raises a SettingError if it is not installed."""
  try:
    import cv2  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise SettingError(
      'videos and cameras need OpenCV; install it with pip install'
      ' "semgcn-jax[pose]"'
    ) from error
  return cv2


class Album:
  """Small images of a clip, evenly spaced, up to a few hundred.

  Attributes:
    longest: The pixels of their longer side, at most.
    step: The frames that each image stands for.
    image_size: The width and height of the original images, pixels.
    fps: The frames per second; `rates.DEFAULT` if unknown.
  """

  def __init__(
    self, longest: int = 640, most: int = 600, fps: float = rates.DEFAULT
  ):
    self.longest = longest
    self.step = 1
    self.image_size = 0, 0
    self.fps = fps
    self._most = most
    self._pictures: dict[int, bytes] = {}

  @classmethod
  def of(cls, image: np.ndarray, longest: int = 1280) -> Self:
    """Builds an album of a single image, `[H, W, 3]`."""
    album = cls(longest)
    album.add(0, image)
    return album

  def add(self, number: int, image: np.ndarray) -> None:
    """Adds the image of a frame, unless the step skips it."""
    self.image_size = image.shape[1], image.shape[0]
    if number % self.step:
      return
    self._pictures[number] = images.to_jpeg(image, self.longest)
    if len(self._pictures) > self._most:
      self.step *= 2
      kept = [n for n in self._pictures if n % self.step == 0]
      self._pictures = {n: self._pictures[n] for n in kept}

  def at(self, number: int) -> bytes | None:
    """Returns the JPEG file of a frame, or of the last one before it."""
    before = [n for n in self._pictures if n <= number]
    return self._pictures[max(before)] if before else None

  def decoded(self, number: int) -> np.ndarray | None:
    """Decodes the image that `at` returns, `[H, W, 3]`."""
    found = self.at(number)
    return None if found is None else np.asarray(Image.open(io.BytesIO(found)))


def read_album(path: pathlib.Path) -> Album:
  """Reads an image or a video, going by its suffix, to draw keypoints on it.

  Raises:
    UserError: It cannot be read.
    SettingError: OpenCV is not installed, which videos need.
  """
  if path.suffix.lower() in images.ENDINGS:
    return Album.of(images.read_image(path))
  video = Video(path)
  album = Album(fps=video.fps)
  for number, picture in enumerate(video):
    album.add(number, picture)
  return album
