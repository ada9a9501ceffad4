"""Checks the settings against the data and the devices."""

import jax
import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError, choose
from semgcn_jax.geometry.joint_sets import MIN_KEYPOINTS, joint_sets_of
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.tasks import make_task

# The least distance from a virtual camera to a root, metres; less for skeletons
# that reach less far.
NEAREST = 1.0


def check_settings(config: Config, skeleton: Skeleton) -> None:
  """Checks what is known before the data is read.

  Raises:
    SettingError: The batches do not split over the devices, there is no such
      joint set, poses cannot be mirrored, or virtual cameras have 2D that is
      not a projection.
  """
  for name in config.model.input_joints:
    known = choose('input_joints', name, joint_sets_of(skeleton))
    given = sum(map(bool, known.sources))
    if given < MIN_KEYPOINTS:
      raise SettingError(
        f'`input_joints={name}`: gives {given} joints of the skeleton;'
        f' {MIN_KEYPOINTS} are needed to lift a pose'
      )
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
  virtual, shift = augmentation.virtual_cameras, augmentation.virtual_shift
  if not virtual:
    return
  nearest = train.roots[:, 2].min()
  least = min(NEAREST, float(np.linalg.norm(train.targets, axis=-1).max()))
  if nearest - shift < least:
    name = 'virtual_shift' if shift else virtual[0]
    value = getattr(augmentation, name)
    raise SettingError(
      f'`{name}={value:g}`: the nearest pose is {nearest:.2f} m from its'
      f' camera, and {least:.3g} m must remain'
    )
