import numpy as np
import pytest

from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS, to_h36m
from semgcn_jax.geometry.skeletons import H36M


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
