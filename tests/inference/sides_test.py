"""Exchanged sides of clips."""

import dataclasses
import logging

import numpy as np
import pytest
from filmed import keypoints_of
from timed import SIZE, make_lifter

from semgcn_jax import Lifter
from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.geometry.joint_sets import JOINT_SETS, mirror_order
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.arguments import read_arguments
from semgcn_jax.inference.people import lift_clip
from semgcn_jax.inference.sides import exchange, find_exchanged
from semgcn_jax.simulation.points import OF_PEOPLE

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
  for name, other in zip(OF_PEOPLE.names, OF_PEOPLE.mirror_order, strict=True):
    head, _, tail = name.partition('_')
    if head in ('left', 'right'):
      expected = f'{sides[head]}_{tail}'
    elif name in H36M.joints and name[0] in 'LR' and name[1].isupper():
      expected = sides[name[0]] + name[1:]
    else:
      expected = name
    assert OF_PEOPLE.names[other] == expected


@pytest.mark.parametrize(
  'wrong',
  [NOBODY, some((8, 16)), some((0, 5), (20, 25)), some((5, 6), (12, 20))],
)
def test_exchanged_frames_are_found(wrong):
  keypoints = walking()
  bad = points_of(swapped(keypoints, wrong))
  np.testing.assert_array_equal(find_exchanged(bad, 10.0), wrong)
  np.testing.assert_array_equal(exchange(bad, wrong), points_of(keypoints))
  # The sides of most frames are right.
  np.testing.assert_array_equal(
    find_exchanged(points_of(swapped(keypoints, ~wrong)), 10.0), wrong
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
  found = find_exchanged(points_of(keypoints), 30.0)
  assert found.shape == (len(keypoints),) and found.mean() <= 0.5
  if len(keypoints) != 30:
    assert not found.any()


@pytest.mark.parametrize('wrong', [some((12, 13)), some((8, 13))])
def test_a_lifter_repairs_and_says_so(caplog, wrong):
  lifter, keypoints = make_lifter(), walking()
  wanted = lifter.lift(keypoints, SIZE, fps=10)
  assert 'exchanged' not in caplog.text and not wanted.exchanged.any()
  bad = swapped(keypoints, wrong)
  with caplog.at_level(logging.WARNING, 'semgcn_jax'):
    lifted = lifter.lift(bad, SIZE, fps=10)
  count = wrong.sum()
  assert f'left and right are exchanged in {count} of 25' in caplog.text
  np.testing.assert_array_equal(lifted.exchanged, wrong)
  np.testing.assert_allclose(lifted.poses, wanted.poses, atol=1e-5)
  # At low rates people move too far to tell.
  assert not lifter.lift(bad, SIZE, fps=5).exchanged.any()


@pytest.mark.parametrize('ratio', [0.85, 0.95])
def test_other_sides_are_taken_if_the_network_is_much_surer(ratio, monkeypatch):
  keypoints = walking()
  lifter = make_lifter(flip_test=False)
  calls = []

  def run_clip(program, arrays, *others):
    calls.append(arrays[0])
    errors = np.full((25, 16), ratio ** (len(calls) - 1))
    return np.full((25, 16, 3), len(calls)), errors

  monkeypatch.setattr('semgcn_jax.inference.lifter.clips.run_clip', run_clip)
  wrong = some((8, 16))
  lifted = lifter.lift(swapped(keypoints, wrong), SIZE, fps=10)
  assert len(calls) == 2
  np.testing.assert_array_equal(
    lifted.exchanged, ~wrong if ratio < 0.9 else wrong
  )
  calls.clear()
  lifted = lifter.lift(swapped(keypoints, some((3, 5))), SIZE, fps=10)
  assert len(calls) == 1  # Most frames are right by far.


def test_people_have_the_sides_that_were_lifted():
  clip = Clip('walk', (), 10.0, SIZE, joint_set='coco')
  lifter, over_time = make_lifter(), make_lifter()

  def lift(keypoints):
    person = Person('1', np.arange(25), keypoints)
    own = dataclasses.replace(clip, people=(person,))
    options = {'focal_length': 1100.0}
    (person,) = lift_clip(lifter, own, over_time, **options).people
    return person

  keypoints = walking()
  good, bad = lift(keypoints), lift(swapped(keypoints, some((8, 13))))
  np.testing.assert_allclose(bad.keypoints, good.keypoints, atol=1e-4)
  np.testing.assert_allclose(bad.places, good.places, atol=1e-3)


@pytest.mark.parametrize('name', JOINT_SETS)
def test_the_mirror_order_of_every_joint_set(name):
  own = JOINT_SETS[name]
  order = mirror_order(own, H36M)
  np.testing.assert_array_equal(order[order], np.arange(own.num_joints))
  moved = order != np.arange(own.num_joints)
  assert moved.sum() >= 12
  for point, other in zip(own.points, order, strict=True):
    if point.startswith('left_'):
      assert own.points[other] == point.replace('left_', 'right_')


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
