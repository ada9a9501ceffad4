"""What cannot be metres, pixels or Human3.6M's joints is not trained on."""

import warnings

import numpy as np
import pytest

from semgcn_jax.config.presets import preset
from semgcn_jax.data import datasets, npz, plausible
from semgcn_jax.data.synthetic import generate
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import H36M


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
  [(0.001, 'S1 is normalized to the screen'), (0, 'camera 0 is all zero')],
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
    *(
      (17, {'layout_name': name}, f"joints of '{name}'")
      for name in ('alphapose', 'vitpose', 'mmpose_17', 'humaneva15')
    ),
    *(
      (17, {'keypoints_symmetry': sides}, 'not two lists of joint indices')
      for sides in (
        [['LHip'], ['RHip']],
        [[1, 2], 3],
        [None, None],
        [[float('nan')], [1]],
      )
    ),
    (17, {'num_joints': np.array([17, 17])}, 'but its metadata say'),
    (17, {'layout_name': 'h36m_body'}, ''),
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


def two_actions(poses):
  clip = poses['S1']['Walking 1']
  return {s: {'Walking 1': clip, 'Eating 1': clip.copy()} for s in poses}


@pytest.mark.parametrize(
  ('factor', 'match'),
  [
    (1000, "S9 'Eating 1' span .* but millimetres; multiply by 0.001"),
    (1 / 0.0254, r'but (centimetres or )?inches; .*0\.0254'),
    (1e-4, "S9 'Eating 1' span .* unknown unit"),
    (0, 'all joints in one place'),
    (np.resize([[[1.0]], [[0.0]]], (8, 1, 1)), '4 of 8 frames are all zero'),
  ],
)
def test_one_action_of_3d(tmp_path, poses, factor, match):
  poses = two_actions(poses)
  poses['S9']['Eating 1'] = poses['S9']['Eating 1'] * factor
  npz.write_poses_3d(poses, tmp_path / 'data_3d_h36m.npz')
  with pytest.raises(UserError, match=match):
    load(tmp_path)


@pytest.mark.parametrize(
  ('factor', 'match'),
  [
    (0.001, "normalized to the screen, as in 'Eating 1' camera 2"),
    (np.resize([[[1.0]], [[0.0]]], (8, 1, 1)), '4 of 8 frames are all zero'),
  ],
)
def test_one_camera_of_2d(tmp_path, poses, factor, match):
  poses = two_actions(poses)
  npz.write_poses_3d(poses, tmp_path / 'data_3d_h36m.npz')
  views = {s: dict.fromkeys(poses[s], a['Walking 1'])
           for s, a in pixels(poses).items()}  # fmt: skip
  view = views['S1']['Walking 1'][0]
  views['S1']['Eating 1'] = [view, view, view * factor, view]
  npz.write_poses_2d(views, H36M, tmp_path / 'data_2d_h36m_cpn.npz')
  with pytest.raises(UserError, match=match):
    load(tmp_path, 'cpn')


def test_2d_that_is_no_number_gives_no_warning(poses):
  views = pixels(poses)
  views['S1']['Walking 1'][1] = views['S1']['Walking 1'][1] * np.nan
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    plausible.check_2d(views, 'a.npz', ['S1'])
