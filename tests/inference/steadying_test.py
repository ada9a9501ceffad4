"""Steadying the poses of a stream."""

import numpy as np
import pytest
from filmed import standing

from semgcn_jax.geometry.rotations import about_axis
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.inference.steadying import Steady, steady


def lengths(poses):
  return np.linalg.norm(bone_vectors(poses, H36M), axis=-1)


def second_difference(poses):
  return np.linalg.norm(np.diff(poses, n=2, axis=0), axis=-1).mean()


@pytest.mark.parametrize('fps', [16.0, 30.0, 60.0, 240.0])
def test_noise_shrinks_and_rest_stays(fps):
  still = np.repeat(standing(1), 200, axis=0)
  np.testing.assert_allclose(steady(still, fps), still, atol=1e-6)
  noise = np.random.default_rng(0).normal(0, 0.02, still.shape)
  noise[:, H36M.root] = 0
  noisy = still + noise
  calm = steady(noisy, fps)
  assert second_difference(calm) < 0.6 * second_difference(noisy)
  assert np.abs(calm - still)[20:].mean() < 0.85 * np.abs(noise)[20:].mean()
  # No bone is longer, or shorter, than those of the frames so far.
  for t in range(1, 200):
    far, near = (f(lengths(noisy[: t + 1]), axis=0) for f in (np.max, np.min))
    assert (lengths(calm[t]) <= far + 1e-6).all()
    assert (lengths(calm[t]) >= near - 1e-6).all()


def test_a_steady_turn_is_followed_without_delay():
  fps, speed = 30.0, 1.0  # Radians per second.
  turns = np.asarray(about_axis(1, np.arange(90) / fps * speed))
  poses = np.einsum('tij,kj->tki', turns, standing(1)[0])
  calm = steady(poses, fps)
  late = np.linalg.norm(calm - poses, axis=-1)[60:].max()
  one_frame = np.linalg.norm(poses[61] - poses[60], axis=-1).max()
  assert late < 0.3 * one_frame


def test_it_is_an_alpha_beta_filter_by_loops():
  """One bone that turns in a plane, in plain numbers."""
  fps = 50.0
  rng = np.random.default_rng(1)
  poses = standing(1).repeat(6, axis=0)
  wrist, elbow = (H36M.joints.index(n) for n in ('LWrist', 'LElbow'))
  poses[:, wrist] = poses[:, elbow] + rng.normal(size=(6, 3))
  alpha = 1 / (1 + fps / (2 * np.pi * 4))
  beta = 1 / (1 + fps / (2 * np.pi * 2))
  bone, speed, length = poses[0, wrist] - poses[0, elbow], 0.0, None
  length = np.linalg.norm(bone)
  filtered = Steady(fps)
  filtered(poses[0])
  for pose in poses[1:]:
    seen = pose[wrist] - pose[elbow]
    ahead = bone + speed / fps
    new = ahead + alpha * (seen - ahead)
    speed = speed + beta * ((new - bone) * fps - speed)
    bone, length = new, length + alpha * (np.linalg.norm(seen) - length)
    found = filtered(pose)
    np.testing.assert_allclose(
      found[wrist] - found[elbow],
      bone / np.linalg.norm(bone) * length,
      atol=1e-5,
    )
