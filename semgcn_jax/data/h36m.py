"""Human3.6M (Ionescu et al., PAMI 2014)."""

import pathlib

from semgcn_jax.cameras import h36m_cameras
from semgcn_jax.config import Config
from semgcn_jax.data.npz import read_poses_2d, read_poses_3d
from semgcn_jax.data.pairs import Source
from semgcn_jax.skeleton import to_h36m

TRAIN_SUBJECTS = ('S1', 'S5', 'S6', 'S7', 'S8')
TEST_SUBJECTS = ('S9', 'S11')


def read(config: Config) -> Source:
  """Reads data_3d_h36m.npz and data_2d_h36m_<keypoints>.npz.

  Both may hold 32, 17 or 16 joints. Without a file of ground-truth 2D, it is
  projected from the 3D. S11 'Directions' is corrupt and left out.

  Raises:
    UserError: see `npz.read_poses_3d`.
  """
  path = pathlib.Path(config.data_dir) / 'data_3d_h36m.npz'
  poses_3d = {
    subject: {
      action: to_h36m(poses, str(path))
      for action, poses in actions.items()
      if (subject, action) != ('S11', 'Directions')
    }
    for subject, actions in read_poses_3d(path).items()
  }
  return Source(
    name=str(path),
    poses_3d=poses_3d,
    poses_2d=read_detections(config, 'h36m'),
    cameras=h36m_cameras(),
    train_subjects=TRAIN_SUBJECTS,
    test_subjects=TEST_SUBJECTS,
  )


def read_detections(config: Config, dataset: str):
  """data_2d_<dataset>_<keypoints>.npz with 16 joints; None for missing 'gt'."""
  name = f'data_2d_{dataset}_{config.keypoints}.npz'
  path = pathlib.Path(config.data_dir) / name
  if config.keypoints == 'gt' and not path.exists():
    return None
  return {
    subject: {
      action: [to_h36m(view, str(path)) for view in views]
      for action, views in actions.items()
    }
    for subject, actions in read_poses_2d(path).items()
  }
