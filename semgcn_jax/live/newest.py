"""Reads a camera in the background, so that its newest image is at hand."""

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

from semgcn_jax.pictures.videos import Video


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
