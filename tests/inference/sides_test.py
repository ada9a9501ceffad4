"""Exchanged sides of clips."""

import logging

import numpy as np
import pytest
from filmed import keypoints_of
from timed import SIZE, make_lifter

from semgcn_jax import Lifter
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.arguments import read_arguments
from semgcn_jax.inference.sides import exchange, find_exchanged
from semgcn_jax.simulation.points import MIRROR_ORDER, NAMES

NOBODY = np.zeros(25, bool)


def walking(noise=2.0):
  keypoints = keypoints_of(25)
  rng = np.random.default_rng(0)
  keypoints[..., :2] += rng.normal(0, noise, keypoints[..., :2].shape)
  keypoints[rng.random(keypoints.shape[:2]) < 0.1] = 0
  return keypoints


def swapped(keypoints, frames):
  """Exchanges the sides of COCO keypoints, by name."""
  names, result = JOINT_SETS['coco'].names, keypoints.copy()
  for left, name in enumerate(names):
    if name.startswith('left'):
      right = names.index(name.replace('left', 'right'))
      result[frames, left] = keypoints[frames, right]
      result[frames, right] = keypoints[frames, left]
  return result


def points_of(keypoints):
  points, *_ = read_arguments(keypoints, SIZE, 'coco').arrays(0)
  return points


def some(*ranges):
  frames = NOBODY.copy()
  for start, end in ranges:
    frames[start:end] = True
  return frames


def test_the_mirror_order_by_names():
  sides = {'left': 'right', 'right': 'left', 'L': 'R', 'R': 'L'}
  for name, other in zip(NAMES, MIRROR_ORDER, strict=True):
    head, _, tail = name.partition('_')
    if head in ('left', 'right'):
      expected = f'{sides[head]}_{tail}'
    elif name in H36M.joints and name[0] in 'LR' and name[1].isupper():
      expected = sides[name[0]] + name[1:]
    else:
      expected = name
    assert NAMES[other] == expected


@pytest.mark.parametrize(
  'wrong',
  [NOBODY, some((8, 16)), some((0, 5), (20, 25)), some((5, 6), (12, 20))],
)
def test_exchanged_frames_are_found(wrong):
  keypoints = walking()
  bad = points_of(swapped(keypoints, wrong))
  np.testing.assert_array_equal(find_exchanged(bad), wrong)
  np.testing.assert_array_equal(exchange(bad, wrong), points_of(keypoints))
  # The sides of most frames are right.
  np.testing.assert_array_equal(
    find_exchanged(points_of(swapped(keypoints, ~wrong))), wrong
  )


@pytest.mark.parametrize(
  'keypoints',
  [
    np.zeros((5, 17, 3)),
    np.full((1, 17, 3), 1.0),
    np.full((40, 17, 3), 100.0) * (1, 1, 0.005),
    np.random.default_rng(0).uniform(0, 1, (30, 17, 3)) * (1280, 720, 1),
  ],
)
def test_whoever_cannot_be_told_stays(keypoints):
  found = find_exchanged(points_of(keypoints))
  assert found.shape == (len(keypoints),) and found.mean() <= 0.5
  if len(keypoints) != 30:
    assert not found.any()


def test_a_lifter_repairs_and_says_so(caplog):
  lifter, keypoints = make_lifter(), walking()
  wanted = lifter(keypoints, SIZE, fps=10)
  assert 'exchanged' not in caplog.text
  with caplog.at_level(logging.WARNING, 'semgcn_jax'):
    poses = lifter(swapped(keypoints, some((8, 16))), SIZE, fps=10)
  assert 'left and right are exchanged in ' in caplog.text
  opposite = lifter(swapped(keypoints, ~NOBODY), SIZE, fps=10)
  # Whichever sides this random network is surer of, all frames have them.
  assert (
    min(np.abs(poses - wanted).max(), np.abs(poses - opposite).max()) < 1e-4
  )


@pytest.mark.slow
def test_the_weights_in_the_box_recover():
  lifter, keypoints = Lifter.load('cmu-video'), walking()
  wanted = lifter(keypoints, SIZE, fps=10)
  poses = lifter(swapped(keypoints, some((8, 16))), SIZE, fps=10)
  np.testing.assert_allclose(poses, wanted, atol=1e-4)


def test_streams_take_frames_as_they_come():
  lifter, keypoints = make_lifter(causal=True), walking()
  bad = swapped(keypoints, some((8, 16)))
  stream = lifter.stream(SIZE, fps=10)
  poses = [stream(frame).poses for frame in bad]
  np.testing.assert_allclose(poses, lifter(bad, SIZE, fps=10), atol=1e-4)
