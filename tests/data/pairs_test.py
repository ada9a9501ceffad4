import dataclasses
import types

import numpy as np
import pytest
from skeletons import CHAIN

from semgcn_jax.data.pairs import (
  Source,
  clip_bounds,
  known_fps,
  make_pairs,
  sequences,
)
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.cameras import (
  h36m_cameras,
  normalize_screen,
  project,
  world_to_camera,
)
from semgcn_jax.geometry.skeletons import H36M


def source(**changes):
  rng = np.random.default_rng(0)
  poses = {
    subject: {
      action: rng.uniform(-0.5, 0.5, (frames, 16, 3)).astype(np.float32) + 1
      for action, frames in (('Walk 1', 5), ('Walk 2', 3), ('Run', 4))
    }
    for subject in ('S1', 'S5')
  }
  fields = {
    'name': 'poses.npz',
    'poses_3d': poses,
    'poses_2d': None,
    'cameras': h36m_cameras(),
    'train_subjects': ('S1',),
    'test_subjects': ('S5',),
  }
  return Source(**fields | changes)


def pairs(data, skeleton=H36M, **changes):
  fields = {'subjects': ('S1',), 'actions': (), 'downsample': 1}
  return make_pairs(data, skeleton, **fields | changes)


def detections(data):
  return {
    subject: {
      action: [np.full((len(p), 16, 2), 10.0 * c) for c in range(4)]
      for action, p in actions.items()
    }
    for subject, actions in data.poses_3d.items()
  }


def test_every_pose_by_every_camera():
  data = source()
  result = pairs(data)
  assert len(result) == 4 * (5 + 3 + 4)
  assert result.action_names == ('Run', 'Walk')
  assert (result.actions == 1).sum() == 4 * 8
  camera = h36m_cameras()['S1'][1]  # The second camera of the first action.
  view = world_to_camera(data.poses_3d['S1']['Walk 1'].astype(float), camera)
  np.testing.assert_allclose(
    result.inputs[5:10], normalize_screen(project(view, camera), camera), 1e-6
  )
  np.testing.assert_allclose(
    result.targets[5:10], view - view[:, :1], atol=1e-6
  )


def test_choosing_actions_frames_and_subjects():
  data = source()
  assert len(pairs(data, actions=('Run',))) == 4 * 4
  assert len(pairs(data, downsample=2)) == 4 * (3 + 2 + 2)
  assert len(pairs(data, subjects=('S1', 'S5'))) == 2 * len(pairs(data))
  with pytest.raises(SettingError, match='no S3 in poses.npz; it has S1, S5'):
    pairs(data, subjects=('S3',))
  with pytest.raises(
    SettingError, match='no Swim in poses.npz; it has Run, Walk'
  ):
    pairs(data, actions=('Swim',))


def test_detections_of_another_length_are_cut():
  data = source()
  views = detections(data)
  views['S1']['Walk 1'] = [v[:4] for v in views['S1']['Walk 1']]
  views['S1']['Run'] = [np.repeat(v, 2, axis=0) for v in views['S1']['Run']]
  result = pairs(dataclasses.replace(data, poses_2d=views))
  assert len(result) == 4 * (4 + 3 + 4)
  assert result.num_cut == 8
  views['S1']['Run'] = [v[:0] for v in views['S1']['Run']]
  with pytest.raises(UserError, match="S1 'Run' has no frames"):
    pairs(dataclasses.replace(data, poses_2d=views))


def test_2d_that_does_not_belong_to_the_3d():
  data = source()
  views = detections(data)

  def check(message, changed):
    with pytest.raises(UserError, match=message):
      pairs(dataclasses.replace(data, poses_2d=changed))

  check('has no 2D: its subjects are S5', {'S5': views['S5']})
  check("'Walk 1' has no 2D", {'S1': {'Run': views['S1']['Run']}})
  three = {a: v[:3] for a, v in views['S1'].items()}
  check('2D of 3 cameras, not 4', {'S1': three})


def test_bad_poses_are_named():
  data = source()
  data.poses_3d['S1']['Run'][2, 9, 1] = np.nan
  with pytest.raises(
    UserError, match="S1 'Run' frame 2 joint Head is not a number"
  ):
    pairs(data)
  assert len(pairs(data, actions=('Walk',))) == 4 * 8
  with pytest.raises(UserError, match='has 16 joints, the skeleton 5'):
    pairs(data, CHAIN)
  with pytest.raises(UserError, match='has no cameras'):
    pairs(dataclasses.replace(data, cameras={}))
  data.poses_3d['S1']['Run'][:] = 9000.0  # Millimetres.
  with pytest.raises(UserError, match='behind a camera; is it in metres'):
    pairs(data, actions=('Run',))


class Rows(types.SimpleNamespace):
  def __len__(self):
    return len(self.views)


PAIRS: object = Rows(views=np.array([0, 0, 0, 2, 2, 5]), fps=0.0)


def test_rows_of_views():
  first, last = clip_bounds(PAIRS)
  assert first.tolist() == [0, 0, 0, 3, 3, 5]
  assert last.tolist() == [2, 2, 2, 4, 4, 5]
  rows = [part.tolist() for part in sequences(PAIRS, 2)]
  assert rows == [[0, 2], [1], [3], [4], [5]]


def test_unknown_rates_are_asked_for():
  with pytest.raises(SettingError, match='`fps`: say how many'):
    known_fps(PAIRS)
