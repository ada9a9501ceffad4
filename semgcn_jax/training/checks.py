"""Checks the settings against the data and the devices."""

import jax

from semgcn_jax.config import Config
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.tasks import make_task

NEAREST = 1.0  # The least distance from a virtual camera to a pelvis, metres.


def check_settings(config: Config, skeleton: Skeleton) -> None:
  """Checks what is known before the data is read.

  Raises:
    SettingError: The batches do not split over the devices, poses cannot be
      mirrored, or virtual cameras have 2D that is not a projection.
  """
  make_task(config, skeleton).check(jax.device_count())
  if config.augmentation.flip:
    skeleton.require_sides('flip')
  virtual = config.augmentation.virtual_cameras
  if virtual and (config.data.keypoints != 'gt' or config.data.image_aligned):
    without = ' '.join(f'`{name}=0`' for name in virtual)
    raise SettingError(
      f'`{virtual[0]}`: virtual cameras need `keypoints=gt` without'
      f' `image_aligned`; or give {without}'
    )


def check_poses(config: Config, train: Pairs) -> None:
  """Checks the settings against the training poses.

  Raises:
    SettingError: There are too few poses for a batch, or virtual cameras would
      get too close to one.
  """
  batch_size = config.training.batch_size
  if len(train) < batch_size:
    raise SettingError(
      f'`batch_size={batch_size}`: there are {len(train)} training poses; use a'
      ' smaller batch'
    )
  augmentation = config.augmentation
  shift = augmentation.virtual_shift
  nearest = train.roots[:, 2].min()
  if augmentation.virtual_cameras and nearest - shift < NEAREST:
    raise SettingError(
      f'`virtual_shift={shift:g}`: the nearest pose is {nearest:.2f} m from its'
      f' camera, and {NEAREST} m must remain'
    )
