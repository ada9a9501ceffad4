"""Reads a camera in the background, and measures how fast it is followed."""

import collections
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

from semgcn_jax.geometry import rates
from semgcn_jax.pictures.videos import Video

_RECENT = 20  # The images from which the rate is measured.
_OTHER = 1.25  # The ratio by which it is another one.


class Newest:
  """The newest images of a video; those that come meanwhile are skipped.

  It is a context, in which a thread reads the video:

      with Newest(video) as newest:
        for taken, picture in newest:
          ...
  """

  def __init__(self, video: Video, *, paced: bool):
    """Prepares to read.

    Args:
      video: What to read.
      paced: Whether to wait between images, so that a file plays at its rate.
    """
    self._video, self._paced = video, paced
    self._changed = threading.Condition()
    self._last: tuple[float, np.ndarray] | None = None
    self._ended = False
    self._error: BaseException | None = None
    self._thread = threading.Thread(target=self._read, daemon=True)

  def __enter__(self) -> Self:
    self._thread.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    self._end()
    self._thread.join(timeout=2)  # A camera that hangs must not keep us.

  def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
    """Waits for each next image.

    Yields:
      When it was taken, in seconds of `time.time`; and the image, `[H, W, 3]`.

    Raises:
      UserError: The video cannot be read.
    """
    while True:
      with self._changed:
        while self._last is None and not self._ended:
          self._changed.wait()
        last, self._last = self._last, None
      if last is None:
        break
      yield last
    if self._error is not None:
      raise self._error

  def _read(self) -> None:
    began = time.monotonic()
    try:
      for number, picture in enumerate(self._video):
        if self._paced:
          due = began + number / self._video.fps
          time.sleep(max(0.0, due - time.monotonic()))
        with self._changed:
          if self._ended:
            return
          self._last = time.time(), picture
          self._changed.notify()
    except BaseException as error:  # It is raised where images are waited for.
      self._error = error
    finally:
      self._end()

  def _end(self) -> None:
    with self._changed:
      self._ended = True
      self._changed.notify()


class Rate:
  """The rate of images, which depends on the computer and what they show.

  Attributes:
    fps: The images per second.
  """

  def __init__(self, fps: float):
    """Starts with an assumed rate, images per second."""
    self.fps = fps
    self._times: collections.deque[float] = collections.deque(maxlen=_RECENT)

  def changes(self, taken: float) -> bool:
    """Whether the rate is another one since the image of a time, seconds."""
    self._times.append(taken)
    if len(self._times) < _RECENT:
      return False
    fps = (_RECENT - 1) / max(taken - self._times[0], 1e-6)
    if 1 / _OTHER < fps / self.fps < _OTHER:
      return False
    self.fps = min(max(fps, rates.LOWEST), rates.HIGHEST)
    self._times.clear()
    return True
