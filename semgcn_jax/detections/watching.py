"""Finds people in the images of a camera as they come, each with a number."""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from semgcn_jax.detections import mediapipe, rtmlib
from semgcn_jax.detections.detecting import Detector
from semgcn_jax.detections.following import ABSENT, Crowd
from semgcn_jax.detections.persons import Find
from semgcn_jax.detections.tracking import link

# Takes the number of an image, and the image; returns {number of a person:
# their keypoints in it, [J, 3]}.
Watch = Callable[[int, np.ndarray], dict[int, np.ndarray]]


@contextlib.contextmanager
def watcher(detector: Detector, fps: float) -> Iterator[Watch]:
  """Builds a function that finds and follows people, image by image.

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
    yield _linked(rtmlib.detector(detector.model), round(ABSENT * fps))
    return
  with contextlib.ExitStack() as stack:

    def landmarker(*, tracks=False):
      return stack.enter_context(
        mediapipe.landmarker(tracks=tracks, model=detector.model)
      )

    crowd = Crowd(landmarker(), lambda: landmarker(tracks=True), fps)

    def watch(number, picture):
      crowd.advance(number, picture)
      crowd.forget_before(number - round(ABSENT * fps))
      return {
        place: person.found[number]
        for place, person in enumerate(crowd.people, start=1)
        if number in person.found
      }

    yield watch


def _linked(find: Find, most_gap: int) -> Watch:
  """Links what is found in one image after the other."""
  last: dict[int, tuple[int, np.ndarray]] = {}
  count = 0

  def watch(number, picture):
    nonlocal count
    people = [person.keypoints for person in find(picture)]
    for name in [n for n, (at, _) in last.items() if number - at > most_gap]:
      del last[name]
    names = link(people, {name: points for name, (_, points) in last.items()})
    found = {}
    for row, keypoints in enumerate(people):
      name = names.get(row)
      if name is None:
        name = count = count + 1
      found[name] = keypoints
      last[name] = number, keypoints
    return found

  return watch
