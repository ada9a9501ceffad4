"""Telling the people of a clip apart."""

import numpy as np
import pytest
from filmed import keypoints_of

from semgcn_jax.detections.persons import Detection
from semgcn_jax.detections.tracking import oks, track


def test_oks_is_one_for_the_same_and_falls_with_distance():
  person = keypoints_of(1)
  far = person + (500, 0, 0)
  near = person + (5, 0, 0)
  assert oks(person, person) == pytest.approx(1)
  assert oks(person, far) < 0.01 < 0.9 < oks(person, near) < 1
  assert oks(person, person * (1, 1, 0)) == 0
  crowd = np.concatenate([person, near, far])
  alike = oks(crowd, crowd)
  assert alike.shape == (3, 3)
  for row, first in enumerate(crowd):
    for column, second in enumerate(crowd):
      # COCO's formula, keypoint by keypoint.
      size = np.ptp(first[:, :2], axis=0).max()
      off = [
        np.hypot(*(a - b)[:2]) / size
        for a, b in zip(first, second, strict=True)
      ]
      wanted = np.mean([np.exp(-((d / 0.15) ** 2) / 2) for d in off])
      assert alike[row, column] == pytest.approx(wanted)


def test_people_who_cross_are_kept_apart():
  person = keypoints_of(1)[0]
  frames = {
    t: [
      Detection(person + (shift, 0, 0))
      for shift in ((-300 + 30 * t), (300 + 5 * t))[:: 1 if t % 2 else -1]
    ]
    for t in range(8)
  }
  tracks = track(frames)
  assert [t.name for t in tracks] == ['1', '2']
  for found in tracks:
    steps = np.diff(found.keypoints[:, 0, 0])
    assert len({round(float(step), 3) for step in steps}) == 1


def test_numbers_of_the_file_count():
  person = keypoints_of(1)[0]
  frames = {t: [Detection(person, 7), Detection(person, 3)] for t in range(3)}
  assert [t.name for t in track(frames)] == ['7', '3']


def test_a_long_absence_makes_a_new_person():
  person = keypoints_of(1)[0]
  assert len(track({0: [Detection(person)], 5: [Detection(person)]})) == 1
  assert len(track({0: [Detection(person)], 50: [Detection(person)]})) == 2
  # The keypoints may be those of every n-th frame.
  every = [0, 20, 40, 400, 420]
  frames = {number: [Detection(person)] for number in every}
  assert [t.frames.tolist() for t in track(frames)] == [[0, 20, 40], [400, 420]]


def test_the_same_number_for_everybody_does_not_count():
  person = keypoints_of(1)[0]
  frames = {
    t: [Detection(person + (x, 0, 0), 0) for x in (-300, 300)][:: (-1) ** t]
    for t in range(6)
  }
  tracks = track(frames)
  assert len(tracks) == 2
  for found in tracks:
    assert np.ptp(found.keypoints[:, 0, 0]) == 0 and len(found.frames) == 6


def test_names_of_the_matching_leave_those_of_the_file_alone():
  person = keypoints_of(1)[0]
  frames = {0: [Detection(person)], 1: [Detection(person + (445, 0, 0), 1)]}
  assert sorted(t.name for t in track(frames)) == ['1', '2']


def walking(fps, seconds=3.0, speed=250.0):
  """Someone who walks through the image, `[T, 17, 3]`."""
  [person] = keypoints_of(1)
  times = np.arange(0, seconds, 1 / fps)
  return np.stack([person + (speed * time, 0, 0) for time in times])


@pytest.mark.parametrize('fps', [1.0, 3.0, 5.0, 10.0, 30.0])
def test_a_walker_is_one_person_at_any_rate(fps):
  frames = {n: [Detection(p)] for n, p in enumerate(walking(fps))}
  assert len(track(frames, fps)) == 1


def test_people_apart_stay_apart_at_low_rates():
  one = walking(3.0)
  frames = {
    n: [Detection(p), Detection(p + (500, 0, 0))] for n, p in enumerate(one)
  }
  for index, person in enumerate(track(frames, 3.0)):
    np.testing.assert_array_equal(person.keypoints, one + (500 * index, 0, 0))


def test_who_is_detected_twice_counts_once():
  one = keypoints_of(6)
  frames = {}
  for number, person in enumerate(one):
    twice = person + (2, 1, -0.1)  # Less sure.
    neighbor = person + (60, 0, 0)
    frames[number] = [Detection(p) for p in (twice, person, neighbor)]
  people = track(frames)
  assert len(people) == 2
  np.testing.assert_array_equal(people[0].keypoints, one)
