import numpy as np
import pytest
from rigged import AT, clip, places

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.formats.bvh_files import bvh_text
from semgcn_jax.motion.rig import JOINTS, NAMES, PARENTS, Motion, fit
from semgcn_jax.prepare.bvh import joint_positions, read_bvh

# Sitting thighs are turned by about 90 degrees.
CLIPS = ('Walking 1', 'Sitting 1', 'Dancing 1')


def write(path, motion, names='h36m'):
  path.write_text(bvh_text(motion, names))
  return path


@pytest.fixture(params=CLIPS)
def motion(request):
  return fit(clip(request.param), 10)


@pytest.mark.parametrize('names', NAMES)
def test_the_project_reads_it(tmp_path, motion, names):
  bvh = read_bvh(write(tmp_path / 'a.bvh', motion, names))
  assert bvh.frame_time == pytest.approx(0.1)
  found = joint_positions(bvh, slice(None))
  toes = ['LeftToe', 'RightToe'] if names == 'lafan1' else []
  joints = [n for n in found if not n.endswith(' End') and n not in toes]
  assert joints == list(NAMES[names])
  for r, parent in enumerate(PARENTS):
    above = None if parent < 0 else NAMES[names][parent]
    assert bvh.joints[NAMES[names][r]].parent == above
    assert len(bvh.joints[NAMES[names][r]].channels) == (3 if r else 6)
  found = np.stack([found[name] for name in joints], axis=1)
  # Centimetres: 0.001 is 0.01 mm.
  np.testing.assert_allclose(found, places(motion) * 100, atol=1e-3)


def test_bvhio_reads_it(tmp_path, motion):
  bvhio = pytest.importorskip('bvhio')
  root = bvhio.readAsHierarchy(str(write(tmp_path / 'a.bvh', motion)))
  expected = places(motion) * 100
  for t in range(len(expected)):
    root.loadPose(t)
    found = {joint.Name: joint.PositionWorld for joint, *_ in root.layout()}
    found = [list(found[name]) for name in JOINTS]
    # It computes in float32.
    np.testing.assert_allclose(found, expected[t], atol=1e-2)


def test_pybvh_reads_it(tmp_path, motion):
  pybvh = pytest.importorskip('pybvh')
  bvh = pybvh.read_bvh_file(str(write(tmp_path / 'a.bvh', motion)))
  assert bvh.frame_time == pytest.approx(0.1)
  found = bvh.joint_positions()[:, [bvh.joint_names.index(j) for j in JOINTS]]
  np.testing.assert_allclose(found, places(motion) * 100, atol=1e-3)


def test_fit_and_file_keep_the_clip(tmp_path):
  positions = clip('Boxing 1', 'S11')
  path = write(tmp_path / 'a.bvh', fit(positions, 50))
  found = joint_positions(read_bvh(path), slice(None))
  found = np.stack([found[JOINTS[r]] for r in AT], axis=1)
  np.testing.assert_allclose(found / 100, positions, atol=1e-5)


def test_limbs_end_beyond_their_last_joint(tmp_path):
  motion = fit(clip('Walking 1'), 10)
  joints = read_bvh(write(tmp_path / 'a.bvh', motion)).joints
  assert joints['Head End'].offset[1] > 0
  assert joints['LWrist End'].offset[0] > 0 > joints['RWrist End'].offset[0]
  for side in 'LR':  # The toes are in front of the ankle.
    assert joints[f'{side}Ankle End'].offset[2] > 0
  assert joints['Pelvis'].offset == (0, 0, 0)


def test_angles_do_not_jump(tmp_path):
  motion = fit(clip('Sitting 1'), 10)
  bvh = read_bvh(write(tmp_path / 'a.bvh', motion))
  assert np.abs(np.diff(bvh.motion[:, 3:], axis=0)).max() < 60
  # One turn about the vertical and a half: the angle goes on past 180 degrees.
  half = np.deg2rad(10 * np.arange(55)) / 2
  rotations = np.tile((0.0, 0, 0, 1), (55, len(JOINTS), 1))
  rotations[:, 0, 1], rotations[:, 0, 3] = np.sin(half), np.cos(half)
  spin = Motion(motion.offsets, rotations, np.zeros((55, 3)), 30.0)
  bvh = read_bvh(write(tmp_path / 'b.bvh', spin))
  column = bvh.joints['Pelvis'].channels.index('Yrotation')
  np.testing.assert_allclose(
    bvh.motion[:, column], 10 * np.arange(55), atol=1e-5
  )


def test_gimbal_lock_is_exact_and_silent(tmp_path, recwarn):
  half = np.sqrt(0.5)
  for axis in np.eye(3):
    rotations = np.tile((0.0, 0, 0, 1), (2, len(JOINTS), 1))
    rotations[1] = (*(half * axis), half)  # 90 degrees at each joint.
    offsets = fit(clip('Walking 1'), 10).offsets
    motion = Motion(offsets, rotations, np.ones((2, 3)), 30.0)
    bvh = read_bvh(write(tmp_path / 'a.bvh', motion))
    found = joint_positions(bvh, slice(None))
    found = np.stack([found[name] for name in JOINTS], axis=1)
    np.testing.assert_allclose(found, places(motion) * 100, atol=1e-3)
  assert not [w for w in recwarn if 'imbal' in str(w.message)]


def test_number_of_frames(tmp_path):
  positions = clip('Walking 1')
  bvh = read_bvh(write(tmp_path / 'a.bvh', fit(positions[:1], 29.97)))
  assert len(bvh.motion) == 1
  assert 1 / bvh.frame_time == pytest.approx(29.97, rel=1e-6)
  motion = fit(positions, 10)
  none = Motion(motion.offsets, motion.rotations[:0], motion.root[:0], 10.0)
  with pytest.raises(UserError, match='no frame'):
    bvh_text(none)
  with pytest.raises(SettingError, match='`names=maya`: choose from h36m'):
    bvh_text(motion, 'maya')


def test_lafan1_has_toes_and_no_bone_without_length(tmp_path):
  positions = clip('Walking 1')
  motion = fit(positions, 10, apart=True)
  bvh = read_bvh(write(tmp_path / 'a.bvh', motion, 'lafan1'))
  assert bvh.joints['LeftToe'].parent == 'LeftFoot'
  assert bvh.joints['Spine2'].parent == 'Spine1'
  for name, joint in bvh.joints.items():
    if name != 'Hips':
      assert np.linalg.norm(joint.offset) > 1, name
  found = joint_positions(bvh, slice(None))
  wrist = positions[:, AT.index(JOINTS.index('LWrist'))]
  # Joints between are not quite on the line of the bones.
  off = np.linalg.norm(found['LeftHand'] / 100 - wrist, axis=-1)
  assert off.mean() < 0.02


def test_metres(tmp_path):
  motion = fit(clip('Walking 1'), 10)
  for unit, scale in (('cm', 100), ('m', 1)):
    (tmp_path / 'a.bvh').write_text(bvh_text(motion, 'lafan1', unit))
    found = joint_positions(read_bvh(tmp_path / 'a.bvh'), slice(None))
    np.testing.assert_allclose(found['Hips'], motion.root * scale, atol=1e-4)
  with pytest.raises(SettingError, match='unit'):
    bvh_text(motion, 'h36m', 'inch')
