"""Smoothing poses over time."""

import numpy as np
import pytest

from semgcn_jax.motion.smoothing import smooth


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
  result = smooth(noisy, frames, method, fps=30, cutoff=3)
  rest = np.arange(90) != 40
  assert np.isnan(result[40]).all() and np.isfinite(result[rest]).all()

  def jerk(values):
    return np.abs(np.diff(values[41:], 2, axis=0)).mean()

  assert jerk(result) < 0.6 * jerk(noisy)
  assert np.abs(result[rest] - path[rest]).mean() < 0.05
  np.testing.assert_array_equal(
    smooth(noisy, frames, 'none', fps=30, cutoff=3), noisy
  )
  # Of every fourth frame there are a quarter as many a second.
  np.testing.assert_array_equal(
    smooth(noisy, 4 * frames, method, fps=120, cutoff=3), result
  )


def test_what_is_too_slow_to_be_smoothed_is_left():
  poses = np.random.default_rng(0).normal(size=(20, 16, 3))
  found = smooth(poses, 10 * np.arange(20), 'butterworth', fps=30, cutoff=3)
  np.testing.assert_array_equal(found, poses)
