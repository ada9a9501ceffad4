"""A dataset of one's own: any skeleton, any cameras, files as the others'."""

import pathlib

from semgcn_jax.config import Config
from semgcn_jax.data.npz import read_poses_2d, read_poses_3d
from semgcn_jax.data.pairs import Source
from semgcn_jax.errors import FlagError


def read(config: Config) -> Source:
  """Reads data_3d_<dataset>.npz and data_2d_<dataset>_<keypoints>.npz.

  The joints are those of --skeleton, the cameras those of --cameras, and the
  split that of --train_subjects and --test_subjects. Without a file of
  ground-truth 2D, it is projected from the 3D.

  Raises:
    FlagError: no such dataset, or no cameras.
    UserError: see `npz.read_poses_3d`.
  """
  folder = pathlib.Path(config.data_dir)
  path = folder / f'data_3d_{config.dataset}.npz'
  if not path.exists():
    raise FlagError(
      f'--dataset={config.dataset}: choose from synthetic, h36m, cmu, or make'
      f' {path}'
    )
  if not config.cameras:
    raise FlagError(f'--cameras: give the cameras of {path} as a JSON file')
  path_2d = folder / f'data_2d_{config.dataset}_{config.keypoints}.npz'
  projected = config.keypoints == 'gt' and not path_2d.exists()
  return Source(
    name=str(path),
    poses_3d=read_poses_3d(path),
    poses_2d=None if projected else read_poses_2d(path_2d),
    cameras={},
    train_subjects=(),
    test_subjects=(),
  )
