"""The task of images: from an image of a person to the 2D and 3D joints."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config.presets import MODEL_FIELDS
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.cameras import Camera
from semgcn_jax.models.heatmaps import heatmap_loss, keypoint_l1
from semgcn_jax.models.image_network import FINDING, Found
from semgcn_jax.runs.networks import Network
from semgcn_jax.tasks.augmentation import Batch
from semgcn_jax.tasks.frames import Frames, PoseLoss, take_part
from semgcn_jax.tasks.image_augmentation import augment_images

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Pictures(Frames):
  """The task of images, the paper's configuration 2 (section 4)."""

  is_large = True
  finding = FINDING

  @property
  def learns(self) -> tuple[str, ...]:
    return {
      'keypoints': ('backbone',),
      'graph': ('graph network',),
      'end_to_end': ('backbone', 'graph network'),
    }[self.config.training.stage]

  def arrays(self, train: Pairs) -> dict[str, Any]:
    names = ('inputs', 'targets', 'images')
    return {name: getattr(train, name) for name in names}

  def make_augment(
    self, cameras: Sequence[Camera], fps: float
  ) -> Callable[[Array, Batch], Batch]:
    return functools.partial(
      augment_images, config=self.config.augmentation, skeleton=self.skeleton
    )

  def loss(self, predicted: Found, batch: Batch, pose_loss: PoseLoss) -> Array:
    """Sums the losses of the 2D joints and the poses that the stage trains.

    Args:
      predicted: The output of the network.
      batch: The true 2D, `inputs` `[B, J, 2]` on the normalized image, and the
        true poses, `targets` `[B, J, 3]`, metres.
      pose_loss: The loss of poses and targets.
    """
    training, total = self.config.training, jnp.float32(0)
    if training.stage != 'keypoints':
      total += pose_loss(predicted.poses, batch['targets'])
    if training.stage != 'graph':
      of_joints = (
        keypoint_l1(predicted.joints, batch['inputs'])
        if training.keypoint_loss == 'l1'
        else heatmap_loss(predicted.logits, batch['inputs'])
      )
      total += training.keypoint_weight * of_joints
    return total

  def _inputs(self, pairs: Pairs) -> Any:
    return pairs.images

  def joints(self, predicted: np.ndarray) -> np.ndarray:
    return predicted[..., 3:]

  def matching(self, source: Network) -> tuple[str, ...]:
    model = self.config.model
    if source.config.takes != 'pictures':
      raise SettingError(
        f'`init_from={model.init_from}`: takes keypoints, not images; name a'
        f' run with `backbone={model.backbone}`'
      )
    # If the graph network differs, it starts fresh.
    return ('backbone',)

  def parts(self, source: Network) -> dict[str, dict[str, Any]]:
    """Returns the parts that the other run has trained, and logs which."""
    names = [*FINDING]
    wanted, there = self.config.flat(), source.config.flat()
    own = (*MODEL_FIELDS, 'pooled_features')
    other = [name for name in own if wanted[name] != there[name]]
    if source.config.only_2d:
      what = 'the backbone and the 2D head, the only parts it has trained'
    elif other:
      what = (
        'only the backbone and the 2D head, as its graph network has'
        f' {other[0]}={there[other[0]]}'
      )
    else:
      names += ['graph']
      what = 'the backbone, the 2D head and the graph network'
    if wanted['crop_size'] != there['crop_size']:
      what += f'; its images had crop_size={there["crop_size"]}'
    logging.getLogger('semgcn_jax').warning(
      'taking from %s: %s', self.config.model.init_from, what
    )
    return {name: take_part(source.variables, name) for name in names}
