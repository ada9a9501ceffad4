import numpy as np
import pytest
from rigged import AT, clip, matrix, places
from scipy.spatial.transform import Rotation

from semgcn_jax.data.synthetic import FAMILIES
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.motion.rig import (
  JOINTS,
  NAMES,
  PARENTS,
  TOES,
  Motion,
  deviation,
  fit,
  in_world,
  joint_positions,
)


def lengths(positions):
  """Measures the bones of Human3.6M, `[T, 15]`."""
  parents, children = np.transpose(H36M.bones)
  return np.linalg.norm(positions[:, parents] - positions[:, children], axis=-1)


def t_pose():
  """Makes a person in a T pose who faces +z, `[16, 3]`, y up."""
  left = {
    'Pelvis': (0, 0.9, 0),
    'LHip': (0.13, 0.9, 0),
    'LKnee': (0.13, 0.5, 0),
    'LAnkle': (0.13, 0.1, 0),
    'Spine': (0, 1.1, 0),
    'Thorax': (0, 1.4, 0),
    'Head': (0, 1.65, 0),
    'LShoulder': (0.16, 1.4, 0),
    'LElbow': (0.44, 1.4, 0),
    'LWrist': (0.7, 1.4, 0),
  }
  return np.array(
    [
      left[joint]
      if joint in left
      else np.multiply(left[f'L{joint[1:]}'], (-1, 1, 1))
      for joint in H36M.joints
    ]
  )


def about_y(degrees):
  """Makes the rotation matrix of a turn to the left about the vertical."""
  angle = np.deg2rad(degrees) / 2
  return matrix((0, np.sin(angle), 0, np.cos(angle)))


def test_the_rig_is_a_tree_with_parents_first():
  assert PARENTS[0] == -1
  assert all(0 <= parent < r for r, parent in enumerate(PARENTS) if r)
  for names in NAMES.values():
    assert len(set(names)) == len(JOINTS)
  assert set(H36M.joints) < set(NAMES['h36m'])
  # Bones are those of Human3.6M, apart from joints that stand at their parent.
  motion = fit(clip('Walking 1'), 10)
  for parent, child in H36M.bones:
    above = PARENTS[JOINTS.index(H36M.joints[child])]
    while not motion.offsets[above].any() and PARENTS[above] >= 0:
      above = PARENTS[above]
    assert JOINTS[above] == H36M.joints[parent]


def test_kinematics_are_those_of_loops():
  random = np.random.default_rng(0)
  quaternions = random.normal(size=(4, len(JOINTS), 4))
  quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
  motion = Motion(
    random.normal(size=(len(JOINTS), 3)),
    quaternions,
    random.normal(size=(4, 3)),
    25.0,
  )
  np.testing.assert_allclose(
    joint_positions(motion), places(motion)[:, AT], atol=1e-12
  )


def test_a_person_in_a_t_pose_is_at_rest():
  pose = t_pose()
  motion = fit(pose[None], 30)
  identity = np.broadcast_to((0, 0, 0, 1), (1, len(JOINTS), 4))
  np.testing.assert_allclose(motion.rotations, identity, atol=1e-9)
  np.testing.assert_allclose(motion.root[0], pose[0], atol=1e-9)
  offset = dict(zip(JOINTS, motion.offsets, strict=True))
  np.testing.assert_allclose(offset['LElbow'], (0.28, 0, 0), atol=1e-9)
  np.testing.assert_allclose(offset['RElbow'], (-0.28, 0, 0), atol=1e-9)
  np.testing.assert_allclose(offset['LKnee'], (0, -0.4, 0), atol=1e-9)
  np.testing.assert_allclose(offset['Thorax'], (0, 0.3, 0), atol=1e-9)


@pytest.mark.parametrize('degrees', [-120, 60, 180])
def test_turning_the_person_turns_the_pelvis_alone(degrees):
  turn = about_y(degrees)
  motion = fit(t_pose()[None] @ turn.T, 30)
  np.testing.assert_allclose(matrix(motion.rotations[0, 0]), turn, atol=1e-9)
  np.testing.assert_allclose(np.abs(motion.rotations[0, 1:, 3]), 1, atol=1e-9)


def test_the_chest_turns_with_the_shoulders():
  pose = t_pose()
  turn = about_y(30)
  above = [
    j
    for j, joint in enumerate(H36M.joints)
    if joint in ('Thorax', 'Head')
    or joint[1:] in ('Shoulder', 'Elbow', 'Wrist')
  ]
  pose[above] = pose[above] @ turn.T
  turns = fit(pose[None], 30).rotations[0]
  for joint, quaternion in zip(JOINTS, turns, strict=True):
    expected = turn if joint == 'Spine' else np.eye(3)
    np.testing.assert_allclose(matrix(quaternion), expected, atol=1e-9)


@pytest.mark.parametrize('family', FAMILIES)
def test_the_synthetic_motion_is_kept(family):
  positions = clip(f'{family} 1')
  motion = fit(positions, 10)
  found = joint_positions(motion)
  np.testing.assert_allclose(found, places(motion)[:, AT], atol=1e-9)
  # The dataset has constant bones, the same left and right: nothing is lost.
  np.testing.assert_allclose(found, positions, atol=1e-5)
  assert deviation(motion, positions) < 1e-6


def test_noisy_poses_deviate_little_and_keep_their_bones():
  random = np.random.default_rng(0)
  positions = clip('Dancing 1', 'S9')
  noisy = positions + random.normal(scale=0.01, size=positions.shape)
  motion = fit(noisy, 10)
  found = joint_positions(motion)
  mean = np.linalg.norm(found - noisy, axis=-1).mean()
  assert deviation(motion, noisy) == pytest.approx(mean)
  assert mean < 0.020
  # Noise is no part of a body of constant shape, and so some of it is lost.
  assert (
    deviation(motion, positions)
    < np.linalg.norm(noisy - positions, axis=-1).mean()
  )
  bones = lengths(found)
  np.testing.assert_allclose(bones, bones[:1].repeat(len(bones), 0), atol=1e-6)
  sides = {
    child: bone for (_, child), bone in zip(H36M.bones, bones[0], strict=True)
  }
  for left, right in zip(H36M.left, H36M.right, strict=True):
    assert sides[left] == pytest.approx(sides[right])


def test_unequal_sides_become_their_mean():
  pose = t_pose()
  pose[H36M.joints.index('LWrist'), 0] += 0.04
  motion = fit(np.stack([pose, pose]), 30)
  for side in 'LR':
    offset = motion.offsets[JOINTS.index(f'{side}Wrist')]
    assert np.linalg.norm(offset) == pytest.approx(0.28)


def test_left_and_right_and_front_are_not_exchanged():
  positions = clip('Walking 1')
  motion = fit(positions, 10)
  for name, axis in (('LHip', (1, 0, 0)), ('RHip', (-1, 0, 0))):
    assert motion.offsets[JOINTS.index(name)] @ axis > 0.08
  # Knees bend so that the shank goes backwards: ankles are behind the thigh.
  behind = []
  for side in 'LR':
    hip, knee, ankle = (
      positions[:, H36M.joints.index(f'{side}{joint}')]
      for joint in ('Hip', 'Knee', 'Ankle')
    )
    for t in range(len(positions)):
      front = matrix(motion.rotations[t, 0])[:, 2]
      behind.append(np.dot(2 * knee[t] - hip[t] - ankle[t], front))
  assert np.mean(behind) > 0.05


def test_missing_frames_are_filled():
  turns = np.stack([t_pose() @ about_y(9 * t).T for t in range(11)])
  turns += np.arange(11)[:, None, None] * (0.02, 0, 0)
  gaps = turns.copy()
  gaps[[0, 1, 3, 4, 5, 6, 10]] = np.nan
  gaps[8, 3, 1] = np.inf
  motion = fit(gaps, 30, first=7)
  assert (motion.first, motion.fps) == (7, 30)
  found = joint_positions(motion)
  np.testing.assert_allclose(found[2:10], turns[2:10], atol=1e-6)
  np.testing.assert_allclose(found[:2], turns[[2, 2]], atol=1e-6)
  np.testing.assert_allclose(found[10], turns[9], atol=1e-6)
  assert deviation(motion, gaps) < 1e-6
  one = np.full((3, 16, 3), np.nan)
  one[1] = turns[4]
  np.testing.assert_allclose(
    joint_positions(fit(one, 30)), turns[[4, 4, 4]], atol=1e-6
  )


def test_quaternions_are_unit_and_do_not_jump():
  for name in ('Dancing 1', 'Sitting 1'):
    rotations = fit(clip(name), 10).rotations
    np.testing.assert_allclose(np.linalg.norm(rotations, axis=-1), 1)
    assert ((rotations[1:] * rotations[:-1]).sum(axis=-1) >= 0).all()
  # Two turns about the vertical, through the quaternion's change of sign.
  spin = np.stack([t_pose() @ about_y(15 * t).T for t in range(49)])
  pelvis = fit(spin, 30).rotations[:, 0]
  angle = np.deg2rad(15 * np.arange(49)) / 2
  np.testing.assert_allclose(pelvis[:, 1], np.sin(angle), atol=1e-9)
  np.testing.assert_allclose(pelvis[:, 3], np.cos(angle), atol=1e-9)


def test_impossible_bodies_stay_finite():
  poses = [np.zeros((2, 16, 3)), np.ones((2, 16, 3))]
  folded = t_pose()[None].copy()
  joints = [H36M.joints.index(f'L{j}') for j in ('Shoulder', 'Elbow', 'Wrist')]
  folded[:, joints[2]] = folded[:, joints[0]]  # The forearm folds back.
  line = np.zeros((1, 16, 3))
  line[..., 1] = np.arange(16)  # All joints lie on the vertical.
  for pose in (*poses, folded, line):
    motion = fit(pose, 30)
    assert np.isfinite(joint_positions(motion)).all()
    norm = np.linalg.norm(motion.rotations, axis=-1)
    np.testing.assert_allclose(norm, 1)
  assert deviation(fit(folded, 30), folded) < 0.02


def test_what_cannot_be_fitted_is_refused():
  with pytest.raises(UserError, match='none of the 3 frames'):
    fit(np.full((3, 16, 3), np.nan), 30)
  with pytest.raises(UserError, match=r'\[T, 16, 3\]'):
    fit(np.zeros((3, 17, 3)), 30)
  with pytest.raises(UserError, match='not an array'):
    fit([['a']], 30)
  for fps in (0, -1, np.nan, np.inf):
    with pytest.raises(SettingError, match='`fps='):
      fit(np.zeros((3, 16, 3)), fps)
  with pytest.raises(UserError, match='2 frames of positions'):
    deviation(fit(t_pose()[None], 30), np.zeros((2, 16, 3)))


def test_ankles_aim_at_toes():
  positions = clip('Walking 1')
  ankles = positions[:, [H36M.joints.index(f'{s}Ankle') for s in 'RL']]
  direction = np.array((0.3, -0.5, 0.8))
  direction /= np.linalg.norm(direction)
  toes = ankles + 0.17 * direction
  feet = np.stack([ankles[:, 0], toes[:, 0], ankles[:, 1], toes[:, 1]], axis=1)
  motion = fit(positions, 10, feet=feet)
  turns, _ = in_world(
    motion.offsets,
    [Rotation.from_quat(q) for q in motion.rotations.swapaxes(0, 1)],
    motion.root,
  )
  for side in 'RL':
    aims = turns[JOINTS.index(f'{side}Ankle')].apply(TOES)
    aims /= np.linalg.norm(TOES)
    np.testing.assert_allclose(aims, np.tile(direction, (25, 1)), atol=1e-6)
  # Without feet, an ankle does not turn.
  still = fit(positions, 10).rotations[:, JOINTS.index('LAnkle')]
  np.testing.assert_allclose(np.abs(still[:, 3]), 1)
