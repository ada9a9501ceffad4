"""Your own dataset, with any skeleton and cameras, in the usual files."""

import pathlib

from semgcn_jax.config import OF_POSES, DataConfig
from semgcn_jax.data.npz import read_keypoints, read_poses_3d
from semgcn_jax.data.pairs import Source
from semgcn_jax.errors import SettingError, listed


def read(config: DataConfig) -> Source:
  """Reads data_3d_<dataset>.npz and data_2d_<dataset>_<keypoints>.npz.

  The settings `skeleton`, `cameras`, `train_subjects` and `test_subjects`
  supply the rest.

  Raises:
    SettingError: There is no such dataset, or its cameras are not given.
    UserError: A file is missing, damaged, or not in this layout.
  """
  path = pathlib.Path(config.data_dir) / f'data_3d_{config.dataset}.npz'
  if not path.exists():
    raise SettingError(
      f'`dataset={config.dataset}`: choose from {listed(OF_POSES)}, or make'
      f' {path}'
    )
  if not config.cameras:
    raise SettingError(f'`cameras`: give the cameras of {path} as a JSON file')
  return Source(
    name=str(path),
    poses_3d=read_poses_3d(path),
    poses_2d=read_keypoints(config, config.dataset),
    cameras={},
  )
