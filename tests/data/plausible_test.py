"""What cannot be metres, pixels or Human3.6M's joints is not trained on."""

import numpy as np
import pytest

from semgcn_jax.data import datasets, npz
from semgcn_jax.data.synthetic import generate
from semgcn_jax.errors import UserError
from semgcn_jax.presets import preset
from semgcn_jax.skeleton import H36M


@pytest.fixture
def poses():
  clips = next(iter(generate(0).values()))
  clip = next(iter(clips.values()))[:8]
  return {s: {'Walking 1': clip} for s in ('S1', 'S9')}


def pixels(poses):
  view = poses['S1']['Walking 1'][..., :2] * 100 + 500
  return {s: {'Walking 1': [view] * 4} for s in poses}


def load(folder, keypoints='gt'):
  config = preset(
    'h36m',
    data_dir=str(folder),
    train_subjects=('S1',),
    test_subjects=('S9',),
    keypoints=keypoints,
  )
  return datasets.load(config.data, H36M)


def in_millimetres(poses):
  poses['S9']['Walking 1'] = poses['S9']['Walking 1'] * 1000


def all_zero(poses):
  poses['S1']['Walking 1'] = poses['S1']['Walking 1'] * 0


@pytest.mark.parametrize(
  ('change', 'match'),
  [
    (in_millimetres, 'poses of S9 span .* but millimetres; multiply by 0.001'),
    (all_zero, "S1 'Walking 1' has all joints in one place"),
  ],
)
def test_3d(tmp_path, poses, change, match):
  change(poses)
  npz.write_poses_3d(poses, tmp_path / 'data_3d_h36m.npz')
  with pytest.raises(UserError, match=match):
    load(tmp_path)


def test_two_keys_that_become_one(tmp_path, poses):
  poses[np.str_('S1').encode()] = poses['S9']
  poses["b'S1'"] = poses['S9']
  npz.write_poses_3d(poses, tmp_path / 'data_3d_h36m.npz')
  with pytest.raises(UserError, match='two names in positions_3d are the same'):
    load(tmp_path)


@pytest.mark.parametrize(
  ('factor', 'match'),
  [(0.001, 'S1 is normalised to the screen'), (0, 'camera 0 is all zero')],
)
def test_2d(tmp_path, poses, factor, match):
  npz.write_poses_3d(poses, tmp_path / 'data_3d_h36m.npz')
  views = pixels(poses)
  file = tmp_path / 'data_2d_h36m_cpn.npz'
  npz.write_poses_2d(views, H36M, file)
  assert len(load(tmp_path, 'cpn').train) == 32
  views['S1']['Walking 1'] = [v * factor for v in views['S1']['Walking 1']]
  npz.write_poses_2d(views, H36M, file)
  with pytest.raises(UserError, match=match):
    load(tmp_path, 'cpn')


@pytest.mark.parametrize(
  ('joints', 'metadata', 'match'),
  [
    (17, {'layout_name': 'coco', 'num_joints': 17}, "joints of 'coco'"),
    (
      17,
      {'keypoints_symmetry': [[1, 3, 5, 7, 9, 11], [2, 4, 6, 8, 10, 12]]},
      'other joints are left and right',
    ),
    (16, {'num_joints': 17}, 'holds 16 joints, but its metadata say 17'),
    (17, {'layout_name': 'h36m', 'num_joints': 17}, ''),
    (
      17,
      {'keypoints_symmetry': [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]},
      '',
    ),
  ],
)
def test_metadata(tmp_path, poses, joints, metadata, match):
  npz.write_poses_3d(poses, tmp_path / 'data_3d_h36m.npz')
  views = {
    s: {'Walking 1': [np.resize(v, (8, joints, 2)) for v in a['Walking 1']]}
    for s, a in pixels(poses).items()
  }
  file = tmp_path / 'data_2d_h36m_cpn.npz'
  np.savez(file, positions_2d=views, metadata=metadata)
  if not match:
    assert len(load(tmp_path, 'cpn').train) == 32
    return
  with pytest.raises(UserError, match=match):
    load(tmp_path, 'cpn')
