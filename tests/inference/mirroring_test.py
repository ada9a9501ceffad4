"""Clips and their mirror images."""

import numpy as np
import pytest
from timed import SIZE, make_lifter, of_frames

from semgcn_jax import Lifter
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.geometry.skeletons import H36M, mirror


def mirrored(keypoints):
  """Mirrors COCO keypoints about the middle of the image."""
  names = JOINT_SETS['coco'].names
  sides = {'left': 'right', 'right': 'left'}
  order = [
    names.index(n.replace(s, sides[s])) if (s := n.split('_')[0]) in sides
    else names.index(n)
    for n in names
  ]  # fmt: skip
  result = keypoints[:, order].copy()
  result[..., 0] = np.where(
    (result[..., 2:] > 0).all(-1), SIZE[0] - result[..., 0], 0
  )
  return result


def noisy(count=40):
  rng = np.random.default_rng(0)
  keypoints = of_frames(count)
  keypoints[..., :2] += rng.normal(0, 6, keypoints[..., :2].shape)
  keypoints[rng.random(keypoints.shape[:2]) < 0.05] = 0
  return keypoints


@pytest.mark.parametrize('causal', [False, True])
@pytest.mark.parametrize('fps', [10, 60])
@pytest.mark.parametrize('flip_test', [False, True])
def test_a_mirrored_clip_gives_mirrored_poses(causal, fps, flip_test):
  lifter = make_lifter(causal=causal, flip_test=flip_test)
  keypoints = noisy()
  one = lifter.lift(keypoints, SIZE, fps=fps)
  other = lifter.lift(mirrored(keypoints), SIZE, fps=fps)
  np.testing.assert_allclose(mirror(other.poses, H36M), one.poses, atol=1e-4)
  np.testing.assert_allclose(
    other.errors[:, H36M.mirror_order], one.errors, atol=1e-4
  )
  if causal:
    stream = lifter.stream(SIZE, fps=fps)
    poses = [stream(frame).poses for frame in mirrored(keypoints)]
    np.testing.assert_allclose(poses, other.poses, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['cmu', 'cmu-video', 'cmu-stream'])
def test_the_weights_in_the_box_mirror(name):
  lifter, keypoints = Lifter.load(name), noisy()
  one, other = (
    lifter(k, SIZE, fps=30) for k in (keypoints, mirrored(keypoints))
  )
  np.testing.assert_allclose(mirror(other, H36M), one, atol=1e-4)


def test_who_was_not_trained_on_both_is_lifted_as_is():
  lifter, keypoints = make_lifter(flip_test=False), noisy()
  config = lifter.config.replace(flip=False)
  plain = type(lifter)(config, lifter.variables, lifter.program)
  poses = [lift(mirrored(keypoints), SIZE, fps=10) for lift in (lifter, plain)]
  both = [lift(keypoints, SIZE, fps=10) for lift in (lifter, plain)]
  # One of the two sides is lifted alike, the other is not.
  alike = [np.allclose(*pair, atol=1e-5) for pair in (poses, both)]
  assert sorted(alike) == [False, True]
