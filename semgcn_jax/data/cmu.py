"""The benchmark on the CMU Graphics Lab Motion Capture Database.

The four calibrated cameras of a Human3.6M subject see every pose, so that all
models can be compared on free data.
"""

import pathlib

import numpy as np

from semgcn_jax.config import DataConfig
from semgcn_jax.data.h36m import read_h36m_keypoints
from semgcn_jax.data.npz import Poses3D, read_poses_3d
from semgcn_jax.data.pairs import Source
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.cameras import H36M_SUBJECTS, Camera, h36m_cameras

TEST_SUBJECTS = ('S13', 'S35', 'S49', 'S135')
MAX_OFFSET = 1.5  # Metres between a pelvis and the middle of its track.


def read(config: DataConfig) -> Source:
  """Reads data_3d_cmu.npz and data_2d_cmu_<keypoints>.npz.

  The poses have Human3.6M's 16 joints, in metres, z up; subjects are named S
  and their number in the database. Without a file of ground-truth 2D, the 3D
  is projected.

  Raises:
    UserError: A file is missing, damaged, or not in this layout.
  """
  path = pathlib.Path(config.data_dir) / 'data_3d_cmu.npz'
  recorded = read_poses_3d(path)
  if config.more_poses:
    more = pathlib.Path(config.more_poses)
    recorded = _merge(recorded, read_poses_3d(more), more)
  poses_3d = {
    subject: {action: center(poses) for action, poses in actions.items()}
    for subject, actions in recorded.items()
  }
  return Source(
    name=str(path),
    poses_3d=poses_3d,
    poses_2d=read_h36m_keypoints(config, 'cmu'),
    cameras={subject: _cameras(subject, path) for subject in poses_3d},
    train_subjects=tuple(s for s in poses_3d if s not in TEST_SUBJECTS),
    test_subjects=TEST_SUBJECTS,
    fps=10.0,
  )


def _merge(poses: Poses3D, more: Poses3D, path: pathlib.Path) -> Poses3D:
  """Adds the training poses of another file, with other clips."""
  merged = {subject: dict(actions) for subject, actions in poses.items()}
  for subject, actions in more.items():
    own = merged.setdefault(subject, {})
    if subject in TEST_SUBJECTS:
      raise UserError(f'{path}: {subject} is a test subject; leave it out')
    if twice := own.keys() & actions.keys():
      raise UserError(
        f'{path}: {subject} {min(twice)} is also in data_3d_cmu.npz; name one'
        ' of them otherwise, or leave it out'
      )
    own |= actions
  return merged


def center(poses: np.ndarray) -> np.ndarray:
  """Keeps a clip in view: its pelvis stays within 1.5 m of the origin in x, y.

  Args:
    poses: Poses `[T, J, 3]` in the world frame, in metres; joint 0 is the
      pelvis.

  Returns:
    The moved poses, `[T, J, 3]` float64. The pelvis's track is centered in x
    and y, then clipped to 1.5 m from the origin; the other joints move along.
  """
  poses = poses.astype(np.float64)
  track = poses[:, :1, :2]
  offset = track - track.mean(axis=0)
  length = np.linalg.norm(offset, axis=-1, keepdims=True)
  offset *= np.minimum(1, MAX_OFFSET / np.maximum(length, 1e-9))
  moved = poses.copy()
  moved[..., :2] += offset - track
  return moved


def _cameras(subject: str, path: pathlib.Path) -> tuple[Camera, ...]:
  """Assigns a subject, by its number, the cameras of one of Human3.6M's."""
  try:
    number = int(subject.removeprefix('S'))
  except ValueError as error:
    raise UserError(
      f'{path}: subject {subject}; name CMU subjects S and their number'
    ) from error
  return h36m_cameras()[H36M_SUBJECTS[number % len(H36M_SUBJECTS)]]
