"""The network for images: configuration 2 (paper section 4).

A convolutional backbone finds the 2D joints. A graph network lifts them, given
their coordinates and the features of the backbone around them.
"""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.geometry.skeletons import Skeleton, mirror
from semgcn_jax.models.heatmaps import HeatmapHead, soft_argmax
from semgcn_jax.models.precision import matmul_precision
from semgcn_jax.models.resnet import ResNet
from semgcn_jax.models.roi_align import mean_bone_length, roi_align

# The mean and deviation of RGB, from 0 to 1, of torchvision's ImageNet weights.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_POOLED_STAGES = 4  # conv_1 to conv_4 (section 5.1).
FINDING = ('backbone', 'head')  # The parts that find the 2D joints.


@flax.struct.dataclass
class Found:
  """The output of the network.

  Attributes:
    poses: The 3D joints, `[B, J, 3]`, metres, the root anywhere.
    joints: The 2D joints, `[B, J, 2]`, on the normalized image, where -1 and 1
      are its edges.
    logits: The heat map of each joint before its softmax, `[B, H, W, J]`.
  """

  poses: jax.Array
  joints: jax.Array
  logits: jax.Array

  @property
  def flat(self) -> jax.Array:
    """The 3D joints followed by the 2D joints, `[B, J, 5]`."""
    return jnp.concatenate([self.poses, self.joints], axis=-1)


class ImageNetwork(nn.Module):
  """Finds 2D joints, pools features around them, and lifts both.

  Attributes:
    skeleton: The skeleton.
    backbone: The network whose features are pooled.
    head: Finds the 2D joints in the last features of the backbone.
    graph: Lifts the joints: `[B, J, C]` -> `[B, J, 3]`.
    pooled: Whether the graph network gets the features.
    stage: What is trained: 'keypoints', 'graph' or 'end_to_end'. The batch
      norms of other parts use their running statistics.
    precision: The setting `backbone_precision`, for the 2D joints.
  """

  skeleton: Skeleton
  backbone: ResNet
  head: HeatmapHead
  graph: nn.Module
  pooled: bool = True
  stage: str = 'end_to_end'
  precision: str = 'highest'

  @property
  def num_predicted(self) -> int:
    """The number of joints that the model predicts."""
    return self.graph.num_predicted  # pyright: ignore[reportAttributeAccessIssue]

  def __call__(self, images: jax.Array, *, train: bool = False) -> Found:
    """Finds the people in images.

    Args:
      images: Images of one person each, `[B, S, S, 3]`, RGB from 0 to 255, of
        any type.
      train: Whether batch norms use the statistics of the batch.
    """
    finds = train and self.stage != 'graph'
    with matmul_precision(self.precision):
      features = self.backbone(normalize(images), train=finds)
      logits = self.head(features[-1], train=finds)
    joints = soft_argmax(logits)
    root = joints[..., self.skeleton.root, None, :]
    inputs = [joints - root]  # As the paper's section 5.1 has it.
    if self.pooled:
      side = mean_bone_length(joints, self.skeleton)
      inputs += [
        roi_align(stage, joints, side) for stage in features[:_POOLED_STAGES]
      ]
    inputs = jnp.concatenate(inputs, axis=-1)
    if self.stage == 'graph':
      inputs = jax.lax.stop_gradient(inputs)
    poses = self.graph(inputs, train=train and self.stage != 'keypoints')
    return Found(poses, joints, logits)


def normalize(images: jax.Array) -> jax.Array:
  """Normalises images like ImageNet's, `[..., 3]`, float32."""
  mean, deviation = (255 * np.array(x, 'f') for x in (_MEAN, _DEVIATION))
  return (images.astype(jnp.float32) - mean) / deviation


def mirror_images(images: Any) -> Any:
  """Mirrors images `[..., S, S, 3]` left to right."""
  return images[..., ::-1, :]


def mirror_found(found: jax.Array, skeleton: Skeleton) -> jax.Array:
  """Mirrors `Found.flat`, `[..., J, 5]`."""
  poses, joints = found[..., :3], found[..., 3:]
  return jnp.concatenate(
    [mirror(poses, skeleton), mirror(joints, skeleton)], axis=-1
  )
