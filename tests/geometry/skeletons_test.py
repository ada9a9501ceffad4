import dataclasses
import json

import numpy as np
import pytest
import quadruped

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import (
  H36M,
  Skeleton,
  bone_vectors,
  load_skeleton,
  measure_unit,
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


def test_a_skeleton_of_older_versions_is_known(tmp_path):
  fields = ('joints', 'parents', 'left', 'right', 'groups')
  path = tmp_path / 'skeleton.json'
  path.write_text(json.dumps({name: getattr(H36M, name) for name in fields}))
  assert load_skeleton(str(path)) == H36M
  # Weights name the skeleton that they were trained with by this.
  assert H36M.fingerprint.startswith('b5b563f3f389bfd1')


def test_joint_sets_are_read_and_written(tmp_path):
  own = quadruped.skeleton(tmp_path)
  [detector] = own.joint_sets
  assert detector.name == 'detector' and detector.num_joints == 15
  assert detector.sources[own.joints.index('head')] == (0, 1)  # Both ears.
  assert detector.sources[own.joints.index('tail')] == ()
  for joint, source in zip(own.joints, detector.sources, strict=True):
    if joint not in ('head', 'tail'):
      assert [detector.names[index] for index in source] == [joint]
  save_skeleton(own, tmp_path / 'again.json')
  again = load_skeleton(str(tmp_path / 'again.json'))
  assert again == own and again.fingerprint == own.fingerprint
  without = dataclasses.replace(own, joint_sets=())
  assert without.fingerprint != own.fingerprint


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'joint_sets': {'own': {'names': ['hip']}}}, 'the name of its own joints'),
    (
      {'joint_sets': {'a': {'names': ['x'], 'sources': {'knee': ['x']}}}},
      'knee is not a joint of the skeleton',
    ),
    (
      {'joint_sets': {'a': {'names': ['x'], 'sources': {'hip': ['y']}}}},
      'has no y, of which hip is the mean',
    ),
    ({'joint_sets': {'a': {'names': ['x']}}}, 'no joint derives from it'),
    ({'joint_sets': {'a': {'names': ['hip', 'hip']}}}, 'of different names'),
    ({'joint_sets': {'a': {'names': ['hip', 3]}}}, 'of different names'),
    ({'joint_sets': {'a': {'names': 'hip'}}}, 'of different names'),
    ({'joint_sets': {'a': {}}}, 'joint set a: names must be a list'),
    ({'joint_sets': {'a': []}}, 'joint set a: names must be a list'),
    ({'joint_sets': {'a,b': {'names': ['hip']}}}, 'a name without commas'),
    (
      {'joint_sets': {'a': {'names': ['hip'], 'source': {}}}},
      'has no source; give names, sources and counts',
    ),
    (
      {'joint_sets': {'a': {'names': ['b'], 'sources': {'hip': 'b'}}}},
      'sources must be',
    ),
    *(
      (
        {'joint_sets': {'a': {'names': ['hip', 'tail'], 'counts': counts}}},
        'counts must be a list of whole numbers, from 2',
      )
      for counts in ('many', [1], [2.5])
    ),
    (
      {
        'joint_sets': {
          'a b': {'names': ['hip']},
          'a': {'names': ['b hip', 'hip']},
        }
      },
      'rename the joint set',
    ),
    ({'joint_sets': ['a']}, 'not a skeleton'),
    ({'stands': 'yes'}, 'stands must be true or false'),
    ({'unit': 0}, 'unit must be a number of metres above 0'),
    ({'unit': '1'}, 'unit must be a number of metres above 0'),
  ],
)
def test_a_wrong_file_is_told(tmp_path, changes, message):
  path = tmp_path / 'wrong.json'
  path.write_text(json.dumps(quadruped.FILE | changes))
  with pytest.raises(UserError, match=message) as error:
    load_skeleton(str(path))
  assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_the_unit_is_about_how_far_poses_reach():
  poses = quadruped.poses(np.random.default_rng(0), 50)
  reach = np.median([max(np.linalg.norm(j) for j in pose) for pose in poses])
  assert measure_unit(poses) == 0.5
  assert abs(np.log(reach / 0.5)) < np.log(2) / 2 + 0.1
  for factor in (0.01, 10, 100):
    assert measure_unit(factor * poses) == pytest.approx(0.5 * factor)
