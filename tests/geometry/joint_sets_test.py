import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import quadruped

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.joint_sets import (
  BY_COUNT,
  JOINT_SETS,
  LIFTED,
  convert_joints,
  default_joint_set,
  joint_sets_of,
  joints_of,
  mirror_order,
  resolve,
  to_h36m,
)
from semgcn_jax.geometry.skeletons import H36M, JointSet, Skeleton
from semgcn_jax.simulation.points import points_of


def test_joint_sets_agree_on_the_16_joints():
  original = np.random.default_rng(0).normal(size=(4, 32, 3))
  # VideoPose3D's 17 of the 32.
  kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
  expected = original[:, [j for j in kept if j != 14]]
  for positions in (original, original[:, kept], expected):
    np.testing.assert_array_equal(to_h36m(positions, 'f'), expected)
  with pytest.raises(UserError, match='f: 20 joints'):
    to_h36m(original[:, :20], 'f')


def test_joint_sets_pair_left_and_right():
  """The mirror of a set is the mirror of ours."""
  # Pairs by hand: (left, right) in each set.
  pairs = {
    'coco': [(i, i + 1) for i in range(1, 16, 2)],
    'mpii': [(3, 2), (4, 1), (5, 0), (13, 12), (14, 11), (15, 10)],
    'body_25': [
      *((5, 2), (6, 3), (7, 4), (12, 9), (13, 10), (14, 11), (16, 15)),
      *((18, 17), (19, 22), (20, 23), (21, 24)),
    ],
    'openpose_18': [
      *((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10), (15, 14)),
      (17, 16),
    ],
    'halpe_26': [(i, i + 1) for i in (*range(1, 16, 2), 20, 22, 24)],
    'h36m_17': [(4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)],
    'h36m_32': [(6, 1), (7, 2), (8, 3), (17, 25), (18, 26), (19, 27)],
  }
  for name, sides in pairs.items():
    joints = JOINT_SETS[name]
    other = list(range(joints.num_joints))
    for left, right in sides:
      other[left], other[right] = right, left
    ours = dict(zip(H36M.left, H36M.right, strict=True))
    ours |= {right: left for left, right in ours.items()}
    for joint, source in enumerate(joints.sources):
      mirrored = sorted(other[i] for i in source)
      assert mirrored == sorted(joints.sources[ours.get(joint, joint)]), name


def test_networks_know_the_sets_in_the_order_of_the_weights_in_the_box():
  assert LIFTED == (
    *('h36m', 'coco', 'mpii', 'body_25', 'openpose_18', 'halpe_26'),
    'mediapipe',
  )


def test_the_number_of_keypoints_tells_their_set():
  assert BY_COUNT == {
    14: 'crowdpose_14',
    16: 'mpii',
    17: 'coco',
    18: 'openpose_18',
    25: 'body_25',
    26: 'halpe_26',
    32: 'h36m_32',
    33: 'mediapipe',
    133: 'coco',
    136: 'halpe_26',
  }
  for count, name in BY_COUNT.items():
    assert resolve('', [count, count], 'f') == name
    assert resolve(name, [count], 'f') == name
  assert resolve('h36m', [16], 'f') == 'h36m'
  assert resolve('h36m_17', [17], 'f') == 'h36m_17'
  assert resolve('', [], 'f') == 'coco'
  assert resolve('mpii', [], 'f') == 'mpii'


@pytest.mark.parametrize(
  ('name', 'counts', 'error', 'message'),
  [
    (
      '',
      [17, 25],
      UserError,
      '^f: people have 17, 25 joints; they must agree$',
    ),
    ('', [20], UserError, '^f: 20 joints a person; name their set by `joint_s'),
    (
      'mpii',
      [17],
      UserError,
      '`joint_set=mpii` has 16; 17 .* h36m_17, coco, posetrack$',
    ),
    ('coco', [136], UserError, '`joint_set=coco` has 17; 136 .* halpe_26$'),
    ('coco', [5], UserError, 'has 17; no joint set has 5$'),
    ('lego', [], SettingError, '`joint_set=lego`: choose from h36m_32, '),
  ],
)
def test_keypoints_of_no_set_are_refused(name, counts, error, message):
  with pytest.raises(error, match=message):
    resolve(name, counts, 'f')


@pytest.mark.parametrize('name', JOINT_SETS)
def test_joints_are_the_mean_of_what_was_found(name):
  """NumPy and JAX agree with a loop over the joints."""
  rng = np.random.default_rng(1)
  keypoints = rng.uniform(0.1, 1, (2, 5, JOINT_SETS[name].num_joints, 3))
  keypoints[rng.random(keypoints.shape[:-1]) < 0.4] = 0
  wanted = np.zeros((2, 5, 16, 3))
  for index in np.ndindex(2, 5):
    for joint, source in enumerate(JOINT_SETS[name].sources):
      parts = [keypoints[index][i] for i in source]
      found = [part[:2] for part in parts if part[2] > 0]
      if found:
        wanted[index][joint, :2] = np.mean(found, axis=0)
      wanted[index][joint, 2] = np.mean([part[2] for part in parts])
  joints = joints_of(keypoints, JOINT_SETS[name])
  assert joints.dtype == np.float64
  np.testing.assert_allclose(joints, wanted, rtol=1e-12)
  single = joints_of(jnp.asarray(keypoints, jnp.float32), JOINT_SETS[name])
  np.testing.assert_allclose(single, wanted, rtol=1e-5, atol=1e-6)
  assert (
    joints_of(keypoints.astype(np.float32), JOINT_SETS[name]).dtype
    == np.float32
  )
  positions = rng.normal(size=(3, JOINT_SETS[name].num_joints, 3))
  means = [
    positions[:, list(source)].mean(axis=1)
    for source in JOINT_SETS[name].sources
  ]
  np.testing.assert_allclose(
    convert_joints(positions, name), np.stack(means, axis=1), rtol=1e-12
  )


def test_the_joint_sets_of_another_skeleton(tmp_path):
  skeleton = quadruped.skeleton(tmp_path)
  known = joint_sets_of(skeleton)
  assert (
    list(known) == ['own', 'detector'] and joint_sets_of(H36M) is JOINT_SETS
  )
  assert default_joint_set(skeleton) == 'detector'
  assert default_joint_set(H36M) == 'coco'
  rng = np.random.default_rng(0)
  own = rng.uniform(1, 9, (4, 15, 3))
  own[..., 2] = 1
  np.testing.assert_allclose(joints_of(own, known['own']), own)
  found = rng.uniform(1, 9, (4, 15, 3))
  found[..., 2] = 0.8
  joints = joints_of(found, known['detector'])
  head, tail = (skeleton.joints.index(name) for name in ('head', 'tail'))
  np.testing.assert_allclose(joints[:, head], (found[:, 0] + found[:, 1]) / 2)
  np.testing.assert_array_equal(joints[:, tail], 0)  # Nothing tells.
  # Both have 15 joints; those of a detector are likelier in a file.
  assert resolve('', [15], 'a file', skeleton=skeleton) == 'detector'
  assert resolve('own', [15], 'a file', skeleton=skeleton) == 'own'
  with pytest.raises(UserError, match='14 joints a person; name their set'):
    resolve('', [14], 'a file', skeleton=skeleton)
  with pytest.raises(SettingError, match='choose from own, detector'):
    resolve('coco', [15], 'a file', skeleton=skeleton)


def test_keypoints_are_mirrored_by_what_they_give(tmp_path):
  skeleton = quadruped.skeleton(tmp_path)
  for joint_set in joint_sets_of(skeleton).values():
    order = mirror_order(joint_set, skeleton)
    np.testing.assert_array_equal(order[order], np.arange(15))
    for name, other in zip(joint_set.names, order, strict=True):
      expected = name.replace('left', '?').replace('right', 'left')
      assert joint_set.names[other] == expected.replace('?', 'right')


def test_sides_of_different_numbers_are_not_exchanged():
  skeleton = Skeleton(
    ('a', 'l', 'r', 'h'), (-1, 0, 0, 0), left=(1,), right=(2,)
  )
  names = ('upright', 'one', 'other', 'only', 'left ear', 'right ear')
  sources = (0,), (3,), (1, 2), (4, 5)
  uneven = JointSet('b', names, sources, tuple(f'b {n}' for n in names))
  order = mirror_order(uneven, skeleton)
  # One keypoint cannot take the place of two.
  np.testing.assert_array_equal(order, [0, 1, 2, 3, 5, 4])
  with_set = dataclasses.replace(skeleton, joint_sets=(uneven,))
  order = points_of(with_set).mirror_order
  np.testing.assert_array_equal(order[order], np.arange(10))


def test_a_choice_among_joint_sets_is_noted(tmp_path, caplog):
  skeleton = quadruped.skeleton(tmp_path)
  [detector] = skeleton.joint_sets
  other = dataclasses.replace(
    detector, name='other', points=tuple(f'other {n}' for n in detector.names)
  )
  skeleton = dataclasses.replace(skeleton, joint_sets=(detector, other))
  assert resolve('', [15], 'a.npy', skeleton=skeleton) == 'other'
  assert (
    'a.npy: its keypoints may be those of own, detector, other' in caplog.text
  )
  caplog.clear()
  # Those that the network does not lift are out of the question.
  lifted = ('own', 'detector')
  assert resolve('', [15], 'a', skeleton=skeleton, lifted=lifted) == 'detector'
  assert default_joint_set(skeleton, ('own',)) == 'own' and not caplog.text
