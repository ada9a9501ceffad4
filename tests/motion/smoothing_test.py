"""Smoothing poses over time."""

import numpy as np
import pytest

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.motion.smoothing import smooth


def smoothed(poses, frames, method, *, fps, cutoff):
  """The smoothed poses of the only person of a clip."""
  clip = Clip('walk', (Person('1', frames, poses=poses),), fps, (9, 9))
  return smooth(clip, method, cutoff=cutoff).people[0].poses


@pytest.mark.parametrize('method', ['one_euro', 'butterworth'])
def test_smoothing_takes_noise_away_and_keeps_gaps(method):
  rng = np.random.default_rng(0)
  time = np.arange(90) / 30
  path = (
    0.3 * np.sin(2 * np.pi * 0.5 * time)[:, None, None] * np.ones((1, 16, 3))
  )
  noisy = path + rng.normal(0, 0.02, path.shape)
  noisy[40] = np.nan
  frames = np.arange(90)
  result = smoothed(noisy, frames, method, fps=30, cutoff=3)
  rest = np.arange(90) != 40
  assert np.isnan(result[40]).all() and np.isfinite(result[rest]).all()

  def jerk(values):
    return np.abs(np.diff(values[41:], 2, axis=0)).mean()

  assert jerk(result) < 0.6 * jerk(noisy)
  assert np.abs(result[rest] - path[rest]).mean() < 0.05
  np.testing.assert_array_equal(
    smoothed(noisy, frames, 'none', fps=30, cutoff=3), noisy
  )
  # Of every fourth frame there are a quarter as many a second.
  np.testing.assert_array_equal(
    smoothed(noisy, 4 * frames, method, fps=120, cutoff=3), result
  )


def test_what_is_too_slow_to_be_smoothed_is_left():
  poses = np.random.default_rng(0).normal(size=(20, 16, 3))
  found = smoothed(poses, 10 * np.arange(20), 'butterworth', fps=30, cutoff=3)
  np.testing.assert_array_equal(found, poses)


def test_places_are_smoothed_as_poses_are():
  rng = np.random.default_rng(0)
  poses, frames = rng.normal(size=(30, 16, 3)), np.arange(30)
  places = poses[:, 0].copy()
  person = Person('1', frames, poses=poses, places=places)
  clip = Clip('walk', (person, person), 30.0, (9, 9))
  found = smooth(clip, 'one_euro', cutoff=2.0)
  assert len(found.people) == 2 and found.name == 'walk'
  for one in found.people:
    np.testing.assert_array_equal(one.places, one.poses[:, 0])
  assert np.abs(np.diff(one.places, axis=0)).mean() < 1.0
  np.testing.assert_array_equal(person.places, places)
