"""Finds people in the images of a camera as they come, each with a number."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from semgcn_jax.detections import mediapipe, rtmlib
from semgcn_jax.detections.detecting import Detector
from semgcn_jax.detections.following import ABSENT, Crowd
from semgcn_jax.detections.persons import Find
from semgcn_jax.detections.tracking import link

_LOOK_EVERY = 1.0  # Seconds; more often, and those who are known come late.


class Watch(Protocol):
  """Finds and follows people, image by image.

  Attributes:
    fps: The images per second, which may change.
  """

  fps: float

  def __call__(self, number: int, picture: np.ndarray) -> dict[int, np.ndarray]:
    """Finds people in the next image.

    Args:
      number: The number of the image.
      picture: The image, `[H, W, 3]` uint8.

    Returns:
      {number of a person: their keypoints, `[J, 3]`}.
    """
    ...


@contextlib.contextmanager
def watcher(detector: Detector, fps: float) -> Iterator[Watch]:
  """Starts to watch.

  Who leaves and comes back after more than two seconds gets another number.
  Memory does not grow with the number of images.

  Args:
    detector: What detects people.
    fps: The images per second.

  Raises:
    SettingError: The detector is not installed.
    UserError: Its model cannot be read.
  """
  if detector.name == 'rtmlib':
    yield _Linking(rtmlib.detector(detector.model), fps)
    return
  with contextlib.ExitStack() as stack:

    def landmarker(*, tracks=False):
      return stack.enter_context(
        mediapipe.landmarker(tracks=tracks, model=detector.model)
      )

    yield _Following(
      Crowd(
        *(landmarker(), lambda: landmarker(tracks=True), fps),
        look_every=_LOOK_EVERY,
        most_kept=1,  # Nobody asks where new people were before.
      )
    )


class _Following:
  """Watches by a crowd."""

  def __init__(self, crowd: Crowd):
    self.crowd, self.fps = crowd, crowd.fps

  def __call__(self, number: int, picture: np.ndarray) -> dict[int, np.ndarray]:
    self.crowd.fps = self.fps
    self.crowd.advance(number, picture)
    self.crowd.forget_before(number - round(ABSENT * self.fps))
    return {
      person.number: person.found[number]
      for person in self.crowd.people
      if number in person.found
    }


class _Linking:
  """Watches by linking what is found in one image after the other."""

  def __init__(self, find: Find, fps: float):
    self.fps = fps
    self._find = find
    self._last: dict[int, tuple[int, np.ndarray]] = {}
    self._count = 0

  def __call__(self, number: int, picture: np.ndarray) -> dict[int, np.ndarray]:
    people = [person.keypoints for person in self._find(picture)]
    oldest = number - round(ABSENT * self.fps)
    self._last = {
      n: last for n, last in self._last.items() if last[0] >= oldest
    }
    names = link(people, {n: points for n, (_, points) in self._last.items()})
    found = {}
    for row, keypoints in enumerate(people):
      name = names.get(row)
      if name is None:
        name = self._count = self._count + 1
      found[name] = keypoints
      self._last[name] = number, keypoints
    return found
