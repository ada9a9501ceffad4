"""Reads videos and cameras, and keeps small images of them.

Images are `[H, W, 3]` uint8, RGB. Videos and cameras need OpenCV, which comes
with the extra `pose`.
"""

import functools
import io
import logging
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar

import numpy as np
import rich.progress
from PIL import Image

from semgcn_jax.errors import UserError, listed, missing_extra
from semgcn_jax.geometry import rates
from semgcn_jax.pictures import images

T = TypeVar('T')

# What files of videos usually end with.
ENDINGS = (
  *('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv'),
)
# Images are of one scene if their small versions differ by less, gray levels.
_CUT_SIZE, _CUT = 32, 60
_UNEVEN = 1.5  # Steps between images of a steady rate vary by less.
_MOST_FPS = 240.0  # Images that follow each other faster are not told apart.


class Video:
  """A video or a camera, read image by image.

  Attributes:
    name: The file or the camera, for messages.
    fps: The frames per second; 30 if unknown. A camera's is measured during
      reading, because processing may be slower than the camera.
    length: The number of images as the file states it; 0 if unknown.
    times: The time of each image of a file read so far, seconds.
    cuts: The numbers of the images with which another scene begins.
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
      if source.is_dir():
        raise UserError(
          f'{source}: a folder; give a video, which ffmpeg makes from pictures:'
          ' ffmpeg -i img_%04d.jpg walk.mp4'
        )
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
    length = 0
    if not isinstance(source, int):
      length = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
    self.length = max(int(length), 0)
    fps = self._capture.get(cv2.CAP_PROP_FPS)
    self.fps = float(fps) if rates.is_rate(fps) else rates.DEFAULT
    self._most = None if seconds is None else max(1, round(seconds * self.fps))
    self._seconds = seconds if isinstance(source, int) else None
    self._aspect, self._time = 1.0, None
    if not isinstance(source, int):
      # Pixels need not be square.
      across = self._capture.get(cv2.CAP_PROP_SAR_NUM)
      along = self._capture.get(cv2.CAP_PROP_SAR_DEN)
      self._aspect = across / along if across > 0 and along > 0 else 1.0
      self._time = cv2.CAP_PROP_POS_MSEC
    self._to_rgb = functools.partial(cv2.cvtColor, code=cv2.COLOR_BGR2RGB)
    self.times: list[float] = []
    self.cuts: list[int] = []

  def __iter__(self) -> Iterator[np.ndarray]:
    """Reads the images, `[H, W, 3]` each.

    Raises:
      UserError: There are none.
    """
    count, began, elapsed, last = 0, time.monotonic(), 0.0, None
    try:
      while self._most is None or count < self._most:
        if self._seconds is not None and elapsed >= self._seconds:
          break
        there, picture = self._capture.read()
        if not there:
          break
        elapsed = time.monotonic() - began
        if self._time is not None:
          self.times.append(self._capture.get(self._time) / 1000)
        picture = self._to_rgb(picture)
        if self._aspect != 1:
          picture = images.stretched(picture, self._aspect)
        # Every fourth pixel is enough, and much faster.
        small = images.shrunk(picture[::4, ::4], _CUT_SIZE)
        if last is not None and np.abs(small - last).mean() > _CUT:
          self.cuts.append(count)
        last = small
        count += 1
        yield picture
    finally:
      self._capture.release()
    if self._seconds is not None and count > 1:
      self.fps = min(max(count / elapsed, rates.LOWEST), rates.HIGHEST)
    if not count:
      raise UserError(f'{self.name}: holds no image that can be decoded')

  def check_cuts(self) -> None:
    """Notes where the video, once read, is cut."""
    if self.cuts:
      shown = listed(map(str, self.cuts[:5]))
      logging.getLogger('semgcn_jax').warning(
        '%s: other scenes seem to begin with frames %s%s; lift each by itself,'
        ' as people are not followed across cuts',
        self.name,
        shown,
        ', ...' if len(self.cuts) > 5 else '',
      )

  def timing(self) -> tuple[np.ndarray | None, float]:
    """Numbers the images, once read, by their times.

    Returns:
      The number of each image, `[T]`, or None if they are evenly spaced; and
      the frames per second. If the rate varies, it is that of the closest
      images, and a note says so.
    """
    steps = np.diff(self.times)
    if len(steps) < 2 or not (steps > 0).all():
      return None, self.fps
    shortest = float(np.percentile(steps, 10))
    if steps.max() < _UNEVEN * shortest:
      return None, self.fps
    fps = float(np.clip(1 / shortest, rates.LOWEST, _MOST_FPS))
    numbers = np.round((np.array(self.times) - self.times[0]) * fps).astype(int)
    if len({*numbers.tolist()}) < len(numbers):
      return None, self.fps
    logging.getLogger('semgcn_jax').warning(
      '%s: its frame rate varies from %.3g to %.3g a second; frames are'
      ' numbered by their times, at %.4g a second',
      self.name,
      1 / steps.max(),
      1 / steps.min(),
      fps,
    )
    return numbers, fps


def _opencv() -> Any:
  """Imports OpenCV; raises a SettingError if it cannot."""
  try:
    import cv2  # pyright: ignore[reportMissingImports]
  except Exception as error:  # A broken installation raises anything.
    raise missing_extra(
      'videos and cameras', 'OpenCV', 'pose', error
    ) from error
  return cv2


class Album:
  """Small images of a clip, evenly spaced, up to a few hundred.

  Attributes:
    longest: The pixels of their longer side, at most.
    step: The frames that each image stands for.
    image_size: The width and height of the original images, pixels.
    fps: The frames per second; `rates.DEFAULT` if unknown.
    count: The number of images, of which `step` leaves out some.
  """

  def __init__(
    self, longest: int = 640, most: int = 600, fps: float = rates.DEFAULT
  ):
    self.longest = longest
    self.step = 1
    self.image_size = 0, 0
    self.fps = fps
    self.count = 0
    self._most = most
    self._numbers: np.ndarray | None = None
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
    self.count = max(self.count, number + 1)
    if number % self.step:
      return
    self._pictures[number] = images.to_jpeg(image, self.longest)
    if len(self._pictures) > self._most:
      self.step *= 2
      kept = [n for n in self._pictures if n % self.step == 0]
      self._pictures = {n: self._pictures[n] for n in kept}

  def fill(self, video: Video) -> Iterator[np.ndarray]:
    """Adds the images of a video, `[H, W, 3]`, yields them, shows progress."""
    shown = rich.progress.track(
      video,
      'detecting',
      transient=True,
      disable=not rich.get_console().is_terminal,
    )
    for number, picture in enumerate(shown):
      self.add(number, picture)
      yield picture

  def time_by(self, video: Video) -> None:
    """Takes the frame rate of a video, once read, and the times of images."""
    numbers, self.fps = video.timing()
    if numbers is None:
      return
    self._numbers = numbers
    self._pictures = {int(numbers[n]): p for n, p in self._pictures.items()}
    self.step = max(1, int(numbers[-1]) // self._most)

  def numbered(self, frames: Mapping[int, T], source: str) -> dict[int, T]:
    """Renumbers what was found in each image, as the images are numbered.

    Args:
      frames: {number of the image, from 0 or from 1: what was found in it}.
      source: Where the numbers are from, for the note.
    """
    if not frames or self.count < 2:
      return dict(frames)
    first = int(min(frames) >= 1 and max(frames) == self.count)
    if first:
      logging.getLogger('semgcn_jax').warning(
        '%s: counts the frames of the video from 1; they are counted from 0',
        source,
      )
    result = {number - first: value for number, value in frames.items()}
    if self._numbers is not None:
      last = len(self._numbers) - 1
      beyond = {n: max(n - last, 0) for n in result}
      result = {
        int(self._numbers[min(n, last)]) + beyond[n]: value
        for n, value in result.items()
      }
    return result

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
  album.time_by(video)
  return album
