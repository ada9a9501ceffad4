import json

import numpy as np
import pytest
from h36m_files import OF_32, motion

from semgcn_jax.data import npz
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.cameras import h36m_cameras, project, world_to_camera
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.prepare.verify import verify

SIDES = np.arange(16)
SIDES[list(H36M.left + H36M.right)] = H36M.right + H36M.left


@pytest.fixture
def poses():
  return {
    subject: {
      action: motion(subject, action).copy()
      for action in ('Walking 1', 'Sitting 1', 'Running 2')
    }
    for subject in ('S1', 'S5')
  }


def projected(poses):
  return {
    subject: {
      action: [
        project(world_to_camera(clip.astype(float), c), c).astype(np.float32)
        for c in h36m_cameras()[subject]
      ]
      for action, clip in actions.items()
    }
    for subject, actions in poses.items()
  }


def changed(poses, change):
  return {
    s: {
      a: [change(v) for v in x] if isinstance(x, list) else change(x)
      for a, x in actions.items()
    }
    for s, actions in poses.items()
  }


def write(folder, poses, views=None):
  npz.write_poses_3d(poses, folder / 'data_3d_h36m.npz')
  if views is not None:
    npz.write_poses_2d(views, H36M, folder / 'data_2d_h36m_sh.npz')


def problems(folder, capsys):
  """What is printed about problems; empty if usable."""
  try:
    verify(folder)
  except UserError as error:
    assert 'not usable as is: data_' in str(error)
  out = capsys.readouterr().out
  found = [line for line in out.splitlines() if line.startswith('  problem: ')]
  assert bool(found) == any(
    not line.endswith('usable')
    for line in out.splitlines()
    if not line.startswith(' ')
  )
  return '\n'.join(found)


def test_good_files(tmp_path, poses, capsys):
  rng = np.random.default_rng(0)
  views = changed(projected(poses), lambda v: v + rng.normal(0, 10, v.shape))
  views['S1']['Walking 1'][0] = views['S1']['Walking 1'][0][:-1]
  write(tmp_path, poses, views)
  verify(tmp_path)
  out = capsys.readouterr().out.splitlines()
  assert out[0].endswith(
    'data_3d_h36m.npz: 2 subjects, 6 clips, 150 frames, 16 joints, metres;'
    ' usable'
  )
  assert out[1].endswith(
    'data_2d_h36m_sh.npz: 2 subjects, 24 views of 4 cameras, 599 frames, 16'
    ' joints; usable'
  )


@pytest.mark.parametrize('factor', [1000, 100])
def test_units(tmp_path, poses, capsys, factor):
  write(tmp_path, changed(poses, lambda p: p * factor))
  found = problems(tmp_path, capsys)
  name = {1000: 'millimetres', 100: 'centimetres'}[factor]
  assert f'in metres; probably {name}: multiply by {1 / factor:g}' in found
  write(tmp_path, changed(poses, lambda p: p * 1e-5))
  assert 'not plausible in metres' in problems(tmp_path, capsys)


def test_3d_of_32_joints(tmp_path, poses, capsys):
  def spread(clip):
    full = np.zeros((len(clip), 32, 3), np.float32)
    full[:, OF_32] = clip
    return full

  write(tmp_path, changed(poses, spread), projected(poses))
  assert not problems(tmp_path, capsys)


def test_orientation_and_sides_of_3d(tmp_path, poses, capsys):
  write(tmp_path, changed(poses, lambda p: p[..., [0, 2, 1]] * (1, 1, -1)))
  assert 'most people stand along y; unless they' in problems(tmp_path, capsys)
  write(tmp_path, changed(poses, lambda p: p[:, SIDES]))
  assert 'left and right are swapped' in problems(tmp_path, capsys)
  write(tmp_path, changed(poses, lambda p: p * (-1, 1, 1)))
  assert 'or one axis is mirrored' in problems(tmp_path, capsys)
  poses['S5']['Sitting 1'] = poses['S5']['Sitting 1'][:, SIDES]
  write(tmp_path, poses)
  found = problems(tmp_path, capsys)
  assert "may be swapped in S5 'Sitting 1': knees" in found


def test_not_numbers(tmp_path, poses, capsys):
  views = projected(poses)
  poses['S1']['Walking 1'][3, 2, 1] = np.nan
  views['S5']['Running 2'][2][4:6, 2, 1] = np.inf
  write(tmp_path, poses, views)
  found = problems(tmp_path, capsys)
  assert "not numbers in S1 'Walking 1' (1 frame)" in found
  assert 'tall' not in found and 'span' not in found and 'stand' not in found
  assert "not numbers in S5 'Running 2' camera 2 (2 frames)" in found


def test_2d_that_does_not_fit(tmp_path, poses, capsys):
  good = projected(poses)

  def found(views):
    write(tmp_path, poses, views)
    return problems(tmp_path, capsys)

  assert 'left and right are swapped\n' in (
    found(changed(good, lambda v: v[:, SIDES])) + '\n'
  )
  one = projected(poses)
  one['S5']['Walking 1'][3] = one['S5']['Walking 1'][3][:, SIDES]
  assert "left and right are swapped in S5 'Walking 1' camera 3" in found(one)
  order = np.arange(16)
  order[[8, 9]] = 9, 8
  text = found(changed(good, lambda v: v[:, order]))
  assert 'another order: Thorax is where Head should be, Head is where' in text
  assert 'normalized to the screen' in found(
    changed(good, lambda v: v / 500 - 1)
  )
  turned = {
    s: {a: [v[i] for i in (2, 0, 1, 3)] for a, v in actions.items()}
    for s, actions in good.items()
  }
  assert 'its views seem to be from cameras 2, 0, 1, 3' in found(turned)
  turned['S1'] = good['S1']
  text = found(turned)
  assert 'S5: does not fit' in text and 'cameras 2, 0, 1, 3' in text
  assert 'does not fit the projected 3D: ' in found(
    changed(good, lambda v: v + 400)
  )
  short = projected(poses)
  short['S1']['Running 2'][1] = short['S1']['Running 2'][1][:20]
  del short['S5']['Sitting 1']
  text = found(short)
  assert "no 2D of S5 'Sitting 1'" in text
  assert "differ from the 3D: S1 'Running 2' camera 1 (2D 20, 3D 25)" in text


def test_damaged_files_and_empty_folders(tmp_path, poses, capsys):
  with pytest.raises(SettingError, match='holds no data_3d_<dataset>.npz'):
    verify(tmp_path)
  write(tmp_path, poses, projected(poses))
  path = tmp_path / 'data_2d_h36m_sh.npz'
  path.write_bytes(path.read_bytes()[:500])
  assert 'cut off or not an npz file' in problems(tmp_path, capsys)


def test_a_dataset_of_ones_own(tmp_path, capsys):
  rng = np.random.default_rng(0)
  skeleton = {'joints': ['a', 'b', 'c'], 'parents': [-1, 0, 1]}
  (tmp_path / 'skeleton.json').write_text(json.dumps(skeleton))
  poses = {'me': {'Wave': rng.uniform(0, 1, (9, 3, 3)).astype(np.float32)}}
  npz.write_poses_3d(poses, tmp_path / 'data_3d_own.npz')
  verify(tmp_path, skeleton=str(tmp_path / 'skeleton.json'))
  assert '1 clip, 9 frames, 3 joints, metres; usable' in capsys.readouterr().out
  with pytest.raises(UserError):
    verify(tmp_path)
  assert 'the skeleton has 16 joints' in capsys.readouterr().out
  with pytest.raises(UserError, match='not usable'):
    npz.write_poses_3d(
      changed(poses, lambda p: p[:, [0] * 17]), tmp_path / 'data_3d_own.npz'
    )
    verify(tmp_path)


def test_files_find_their_dataset(tmp_path, poses, capsys):
  write(tmp_path, poses, projected(poses))
  npz.write_poses_3d(poses, tmp_path / 'data_3d_h36m_sh.npz')
  (tmp_path / 'data_2d_h36m_sh.npz').rename(tmp_path / 'data_2d_h36m_sh_gt.npz')
  assert not problems(tmp_path, capsys)
  (tmp_path / 'data_2d_h36m_sh_gt.npz').rename(tmp_path / 'data_2d_x_gt.npz')
  with pytest.raises(UserError, match='data_2d_x_gt.npz'):
    verify(tmp_path)
  assert 'its data_3d_<dataset>.npz is missing' in capsys.readouterr().out


def test_people_who_lie_are_no_problem(tmp_path, poses, capsys):
  for subject in poses:
    clip = poses[subject]['Sitting 1']
    poses[subject]['Sitting 1'] = clip[..., [2, 1, 0]] * np.float32([-1, 1, 1])
  write(tmp_path, poses)
  found = problems(tmp_path, capsys)
  assert 'stand along' not in found


def test_empty_views_and_other_joints(tmp_path, poses, capsys):
  views = projected(poses)
  views['S1']['Walking 1'][0] = views['S1']['Walking 1'][0][:0]
  write(tmp_path, poses, views)
  found = problems(tmp_path, capsys)
  assert "no frames in S1 'Walking 1' camera 0" in found
