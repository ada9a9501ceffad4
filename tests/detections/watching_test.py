"""People in the images of a camera."""

import painted
import pytest

from semgcn_jax.config.choices import DETECTORS
from semgcn_jax.detections.detecting import Detector
from semgcn_jax.detections.watching import watcher


@pytest.mark.parametrize('name', DETECTORS)
def test_everybody_keeps_a_number_until_they_leave(name, seen):
  frames = [
    {1: (20 + t, 30)} | ({2: (200, 20)} if 10 <= t < 30 or t > 90 else {})
    for t in range(110)
  ]
  with watcher(Detector(name), 10.0) as watch:
    found = [watch(t, painted.picture(f)) for t, f in enumerate(frames)]
  for number, (people, frame) in enumerate(zip(found, frames, strict=True)):
    picture = painted.picture(frame)
    who = {n: painted.whose(k, picture) for n, k in people.items()}
    expected = {1: 1}
    if 20 <= number < 30:  # It looks for people once a second.
      expected[2] = 2
    if number > 100:
      expected[3] = 2  # More than two seconds later, they count as new.
    if number not in range(10, 20) and number not in range(91, 101):
      assert who == expected, number


def test_memory_does_not_grow(seen):
  with watcher(Detector(), 10.0) as watch:
    for number in range(300):
      people = watch(number, painted.picture({1: (20 + number % 7, 30)}))
  assert list(people) == [1]
  assert len(watch.crowd.people[0].found) < 60
  for number in range(300, 340):
    watch(number, painted.picture({}))
  assert watch.crowd.people == []
