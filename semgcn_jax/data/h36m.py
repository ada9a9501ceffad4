"""The dataset Human3.6M (Ionescu et al., PAMI 2014)."""

import pathlib

from semgcn_jax.config import DataConfig
from semgcn_jax.data.npz import (
  Poses2D,
  keypoints_path,
  read_keypoints,
  read_poses_3d,
)
from semgcn_jax.data.pairs import Source
from semgcn_jax.data.plausible import check_metadata
from semgcn_jax.geometry.cameras import h36m_cameras
from semgcn_jax.geometry.joint_sets import h36m_sides, to_h36m

TRAIN_SUBJECTS = ('S1', 'S5', 'S6', 'S7', 'S8')
TEST_SUBJECTS = ('S9', 'S11')
CAMERAS = ('54138969', '55011271', '58860488', '60457274')
ACTIONS = (
  *('Directions', 'Discussion', 'Eating', 'Greeting', 'Phoning', 'Photo'),
  *('Posing', 'Purchases', 'Sitting', 'SittingDown', 'Smoking', 'Waiting'),
  *('WalkDog', 'Walking', 'WalkTogether'),
)


def is_corrupt(subject: str, action: str) -> bool:
  """Whether this is the one corrupt recording, which is left out."""
  return (subject, action) == ('S11', 'Directions')


def read(config: DataConfig) -> Source:
  """Reads data_3d_h36m.npz and data_2d_h36m_<keypoints>.npz.

  Both may hold 32, 17 or 16 joints. If the ground-truth 2D has no file, it is
  projected from the 3D.

  Raises:
    UserError: A file is missing, damaged, or not in this layout.
  """
  path = pathlib.Path(config.data_dir) / 'data_3d_h36m.npz'
  poses_3d = {
    subject: {
      action: to_h36m(poses, str(path))
      for action, poses in actions.items()
      if not is_corrupt(subject, action)
    }
    for subject, actions in read_poses_3d(path).items()
  }
  return Source(
    name=str(path),
    poses_3d=poses_3d,
    poses_2d=read_h36m_keypoints(config, 'h36m'),
    cameras=h36m_cameras(),
    train_subjects=TRAIN_SUBJECTS,
    test_subjects=TEST_SUBJECTS,
    fps=50.0,
  )


def read_h36m_keypoints(config: DataConfig, dataset: str) -> Poses2D | None:
  """Reads the 2D of a dataset with Human3.6M's joints.

  See `npz.read_keypoints` for the arguments and errors.

  Returns:
    {subject: {action: [one [T, 16, 2] array of pixels per camera]}}; None if
    the 3D is to be projected instead.
  """
  poses, path = read_keypoints(config, dataset), keypoints_path(config, dataset)
  if poses:
    joints = {v.shape[1] for a in poses.values() for p in a.values() for v in p}
    for number in joints & {16, 17, 32}:
      check_metadata(path, number, *h36m_sides(number))
  return poses and {
    subject: {
      action: [to_h36m(view, str(path)) for view in views]
      for action, views in actions.items()
    }
    for subject, actions in poses.items()
  }
