"""Generated hands."""

import numpy as np
import pytest

from semgcn_jax.data.hands import NYU, generate, nyu_labels
from semgcn_jax.geometry.skeletons import HAND, bone_vectors


@pytest.fixture(scope='module')
def hands():
  return generate(np.random.default_rng(0), 4000)


def angles(hands, *joints):
  """The angle between two bones that meet, degrees, 0 where straight."""
  first, middle, last = (hands[:, HAND.joints.index(name)] for name in joints)
  one, other = middle - first, last - middle
  cos = (one * other).sum(axis=-1) / np.linalg.norm(one, axis=-1)
  cos = cos / np.linalg.norm(other, axis=-1)
  return np.rad2deg(np.arccos(np.clip(cos, -1, 1)))


def test_the_skeleton_is_mediapipes():
  assert HAND.num_joints == 21 and HAND.joints[8] == 'index_tip'
  parents = {c: HAND.joints[p] for p, c in HAND.bones}
  assert parents[8] == 'index_dip' and parents[17] == 'wrist'


def test_sizes_are_those_of_hands(hands):
  np.testing.assert_array_equal(hands[:, 0], 0)
  longest = np.linalg.norm(hands, axis=-1).max(axis=-1)
  assert 0.1 < longest.min() and longest.max() < 0.3
  lengths = 1000 * np.linalg.norm(bone_vectors(hands, HAND), axis=-1)
  # The middle finger's first bone: 50 mm, by 11% more or less.
  of_middle = lengths[:, [c for _, c in HAND.bones].index(10)]
  assert of_middle.mean() == pytest.approx(50, rel=0.03)
  assert 0.08 < of_middle.std() / of_middle.mean() < 0.14


@pytest.mark.parametrize('finger', ['index', 'middle', 'ring', 'pinky'])
def test_fingers_bend_within_their_range_and_together(hands, finger):
  names = [f'{finger}_{joint}' for joint in ('mcp', 'pip', 'dip', 'tip')]
  middle, last = angles(hands, *names[:3]), angles(hands, *names[1:])
  assert middle.max() < 106 and last.max() < 76
  assert middle.min() < 3 and middle.max() > 95
  others = angles(hands, 'ring_mcp', 'ring_pip', 'ring_dip')
  assert np.corrcoef(middle, others)[0, 1] > 0.3


def test_they_are_right_hands_that_bend_towards_the_palm():
  hands = generate(np.random.default_rng(1), 500, held_up=1.0)
  joint = {name: hands[:, i] for i, name in enumerate(HAND.joints)}
  across = joint['index_mcp'] - joint['pinky_mcp']
  palm = np.cross(across, joint['middle_mcp'])
  bent = joint['middle_tip'] - joint['middle_pip']
  # Knuckles also bend back, by up to 25 degrees.
  assert ((palm * bent).sum(axis=-1) > 0).mean() > 0.85
  # Held up: the palm faces the camera, and the fingers point up.
  assert palm[:, 2].mean() < 0 and joint['middle_mcp'][:, 1].mean() < -0.05


def test_they_repeat():
  first, second = (generate(np.random.default_rng(3), 5) for _ in range(2))
  np.testing.assert_array_equal(first, second)


def test_labels_of_the_nyu_dataset(hands):
  labels = nyu_labels(hands)
  assert labels.shape == (4000, len(NYU), 3)
  joint = {name: hands[:, n] for n, name in enumerate(HAND.joints)}
  label = {name: labels[:, n] for n, name in enumerate(NYU)}
  np.testing.assert_array_equal(label['ring_pip'], joint['ring_pip'])
  # The two of the wrist are 31 mm apart, on the line of the knuckles.
  middle = (label['wrist_1'] + label['wrist_2']) / 2
  np.testing.assert_allclose(middle, joint['wrist'], atol=1e-6)
  apart = label['wrist_2'] - label['wrist_1']
  np.testing.assert_allclose(np.linalg.norm(apart, axis=-1), 0.031, rtol=1e-4)
  across = joint['index_mcp'] - joint['pinky_mcp']
  np.testing.assert_allclose(np.cross(apart, across), 0, atol=1e-6)
  for name, ends, share in (
    ('thumb_ip', ('thumb_tip', 'thumb_ip'), 0.75),
    ('thumb_mcp', ('thumb_mcp', 'thumb_ip'), 0.2),
  ):
    first, last = (joint[end] for end in ends)
    np.testing.assert_allclose(
      label[name] - first, share * (last - first), atol=1e-6
    )
  knuckles = sum(
    joint[f'{f}_mcp'] for f in ('index', 'middle', 'ring', 'pinky')
  )
  np.testing.assert_allclose(
    label['palm'], 0.25 * joint['wrist'] + 0.75 * knuckles / 4, atol=1e-6
  )
