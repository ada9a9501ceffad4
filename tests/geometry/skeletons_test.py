import json

import numpy as np
import pytest

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import (
  H36M,
  Skeleton,
  bone_vectors,
  load_skeleton,
  mirror,
  save_skeleton,
)


def test_h36m_is_the_published_skeleton():
  assert H36M.num_joints == 16
  assert H36M.root == 0
  assert len(H36M.bones) == 15
  assert sorted(sum(H36M.groups, ())) == list(range(16))
  for left, right in zip(H36M.left, H36M.right, strict=True):
    assert H36M.joints[left][1:] == H36M.joints[right][1:]


def test_cycle_is_named():
  with pytest.raises(UserError, match='cycle, b -> c -> b'):
    Skeleton(joints=('a', 'b', 'c'), parents=(-1, 2, 1))


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'parents': (-1,)}, 'one parent per joint'),
    ({'parents': (-1, 5)}, 'parent of b is 5'),
    ({'parents': (-1, -1)}, 'exactly one joint is the root'),
    ({'left': (1,)}, 'one to one'),
    ({'left': (1,), 'right': (7,)}, 'joint indices'),
    ({'groups': ((0,),)}, 'exactly once'),
    ({'groups': ((0.0, 1),)}, 'whole numbers'),
    ({'parents': (-1, '0')}, 'whole numbers'),
    ({'groups': (0, 1)}, 'whole numbers'),
    ({'joints': ('a', 'a')}, 'different names'),
    ({'joints': ('a', 1)}, 'different names'),
    ({'groups': ((0, 1), ())}, 'exactly once'),
  ],
)
def test_contradictions_are_refused(fields, message):
  with pytest.raises(UserError, match=message):
    Skeleton(**{'joints': ('a', 'b'), 'parents': (-1, 0)} | fields)


def test_bone_vectors_are_parent_minus_child():
  positions = np.random.default_rng(0).normal(size=(2, 3, 16, 3))
  bones = bone_vectors(positions, H36M)
  assert bones.shape == (2, 3, 15, 3)
  for bone, (parent, child) in enumerate(H36M.bones):
    np.testing.assert_array_equal(
      bones[:, :, bone], positions[:, :, parent] - positions[:, :, child]
    )


def test_skeleton_from_json(tmp_path):
  path = tmp_path / 'chain.json'
  fields = {'joints': ['a', 'b'], 'parents': [-1, 0], 'groups': [[0, 1]]}
  path.write_text(json.dumps(fields))
  expected = Skeleton(('a', 'b'), (-1, 0), groups=((0, 1),))
  assert load_skeleton(str(path)) == expected
  assert load_skeleton('h36m') is H36M
  path.write_text('{"joints": ["a", "b"], "parents": [1, 0]}')
  with pytest.raises(UserError, match=r'chain\.json.*cycle'):
    load_skeleton(str(path))
  path.write_text('[1]')
  with pytest.raises(UserError, match='not a skeleton'):
    load_skeleton(str(path))
  path.write_text('[' * 100_000)
  with pytest.raises(UserError, match='not a skeleton'):
    load_skeleton(str(path))
  save_skeleton(H36M, path)
  assert load_skeleton(str(path)) == H36M
  with pytest.raises(SettingError, match='neither a file nor one of h36m'):
    load_skeleton('spider')


def test_mirrors_exchange_the_sides():
  pose = np.random.default_rng(0).normal(size=(2, 16, 3)).astype(np.float32)
  mirrored = mirror(pose, H36M)
  for joint in range(16):
    other = joint
    if joint in H36M.left:
      other = H36M.right[H36M.left.index(joint)]
    if joint in H36M.right:
      other = H36M.left[H36M.right.index(joint)]
    np.testing.assert_array_equal(mirrored[:, joint, 0], -pose[:, other, 0])
    np.testing.assert_array_equal(mirrored[:, joint, 1:], pose[:, other, 1:])
  np.testing.assert_array_equal(mirror(mirrored, H36M), pose)


def test_a_skeleton_without_sides_cannot_be_mirrored():
  chain = Skeleton(joints=('a', 'b'), parents=(-1, 0))
  with pytest.raises(SettingError, match='`flip`: the skeleton has no left'):
    chain.require_sides('flip')
  H36M.require_sides('flip')
