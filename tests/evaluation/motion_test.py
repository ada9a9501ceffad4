"""Errors of motion, by loops."""

import numpy as np
import pytest

from semgcn_jax.evaluation.motion import motion_errors


def test_errors_by_loops():
  rng = np.random.default_rng(0)
  predicted, targets = rng.normal(size=(2, 12, 16, 3))
  views = np.repeat([0, 1, 2], [5, 1, 6])
  found = motion_errors(predicted, targets, views)

  def norms(poses, weights):
    values = []
    for t in range(len(poses) - len(weights) + 1):
      if views[t] == views[t + len(weights) - 1]:
        change = sum(w * poses[t + k] for k, w in enumerate(weights))
        values += [np.linalg.norm(joint) for joint in change]
    return 1000 * np.mean(values)

  errors = predicted - targets
  assert found['mpjve'] == pytest.approx(norms(errors, [-1, 1]))
  acceleration = norms(errors, [1, -2, 1])
  assert found['acceleration_error'] == pytest.approx(acceleration)
  assert found['jitter'] == pytest.approx(norms(predicted, [-1, 3, -3, 1]))
  assert found['true_jitter'] == pytest.approx(norms(targets, [-1, 3, -3, 1]))


def test_a_constant_offset_is_no_error_of_motion():
  targets = np.random.default_rng(0).normal(size=(9, 16, 3))
  found = motion_errors(targets + 0.1, targets, np.zeros(9))
  assert found['mpjve'] < 1e-9 and found['acceleration_error'] < 1e-9


def test_what_is_too_short_has_no_motion():
  poses = np.zeros((3, 16, 3))
  assert motion_errors(poses, poses, np.arange(3)) == {}
