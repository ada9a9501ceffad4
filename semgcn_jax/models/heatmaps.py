"""Finds joints in feature maps by heat maps (integral regression).

This is the head of Sun et al., arXiv:1711.08229, with its expectation over the
heat map, and the losses that train it.

Notation: J joints; a heat map has H rows and W columns of cells. Positions are
on the normalized image, where -1 and 1 are the edges, so cell i of W has its
center at (i + 0.5) / W * 2 - 1.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.models.functional import wide_type
from semgcn_jax.models.layers import BatchNorm

Array = jax.Array

# The standard deviation of the target Gaussians, in cells. It still determines
# the center exactly. A wider one is cut off more at an edge: 3 cells from it,
# sigma 2 moves the expectation by 0.18 cells, and sigma 1 by 0.0005.
SIGMA = 1.0

_kaiming_normal = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


class DeconvBlock(nn.Module):
  """A transposed convolution that doubles a map, a batch norm and a ReLU.

  The convolution is PyTorch's `ConvTranspose2d(C, D, 4, 2, padding=1)` without
  bias. Its kernel, `[4, 4, C, D]`, is float32.

  Attributes:
    features: The number of output channels, D.
    norm: Makes the batch norm, given relu and name.
  """

  features: int
  norm: Callable[..., nn.Module] = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Doubles maps: `[B, H, W, C]` -> `[B, 2 H, 2 W, D]`."""
    x = _Deconv(self.features, name='conv')(x)
    return self.norm(relu=True, name='norm')(x, train=train)


class _Deconv(nn.Module):
  """The convolution of `DeconvBlock`."""

  features: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    shape = (4, 4, x.shape[-1], self.features)
    kernel = self.param('kernel', _kaiming_normal, shape).astype(x.dtype)
    # Every second row of the result uses the same two taps of the kernel, as do
    # the columns. So this is one 2x2 convolution with four times the channels,
    # without the zeros that a transposed convolution inserts.
    seen = np.array([[3, 1], [2, 0]])  # The taps of even and of odd rows.
    taps = kernel[seen][:, :, seen]
    taps = taps.transpose(1, 3, 4, 0, 2, 5)
    taps = taps.reshape(2, 2, x.shape[-1], 4 * self.features)
    height, width = x.shape[-3:-1]
    padding = ((1, 1), (1, 1))
    if jax.default_backend() == 'cpu':
      # On a CPU, padding makes a 2x2 convolution ten times slower, forward and
      # backward.
      x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
      padding = ((0, 0), (0, 0))
    y = jax.lax.conv_general_dilated(
      x,
      taps,
      window_strides=(1, 1),
      padding=padding,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
    y = y.reshape(*y.shape[:-1], 2, 2, self.features)
    rows = [
      jnp.stack(
        [
          y[:, odd_y : odd_y + height, odd_x : odd_x + width, odd_y, odd_x]
          for odd_x in range(2)
        ],
        axis=3,
      )
      for odd_y in range(2)
    ]
    doubled = jnp.stack(rows, axis=2)
    return doubled.reshape(-1, 2 * height, 2 * width, self.features)


class HeatmapHead(nn.Module):
  """The head that predicts a heat map per joint from the last feature map.

  Attributes:
    num_joints: The number of joints, J.
    features: The number of hidden channels.
    num_deconvs: The number of transposed convolutions, each of which doubles
      the sides of the map.
    norm: Makes the batch norms; `BatchNorm.poses` must be 0, see `ResNet`.
    dtype: The type of the activations; None takes that of the feature map.
      The heat maps are always at least float32.
  """

  num_joints: int
  features: int = 256
  num_deconvs: int = 3
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Any = None

  @nn.compact
  def __call__(self, features: Array, *, train: bool = False) -> Array:
    """Computes the logits of heat maps.

    Args:
      features: The feature map, `[B, h, w, C]`.
      train: Whether to use, and update, the statistics of the batch.

    Returns:
      The logits, `[B, h * 2**num_deconvs, w * 2**num_deconvs, J]`, float32.
    """
    x = features.astype(self.dtype or features.dtype)
    for i in range(self.num_deconvs):
      x = DeconvBlock(self.features, self.norm, name=f'deconv{i}')(
        x, train=train
      )
    # Nearly equal cells, so that training starts with joints in the middle.
    return nn.Dense(
      self.num_joints,
      dtype=wide_type(x),
      kernel_init=nn.initializers.normal(0.001),
      name='output',
    )(x)


def soft_argmax(logits: Array) -> Array:
  """Computes the expected position of each joint in its heat map.

  Args:
    logits: The logits of the heat maps, `[..., H, W, J]`.

  Returns:
    x and y, `[..., J, 2]`, normalized image, float32.
  """
  logits = logits.astype(wide_type(logits))
  share = jax.nn.softmax(logits, axis=(-3, -2))
  # Sums, because a GPU would round matrix products to TF32.
  x = jnp.sum(share.sum(axis=-3) * _cells(logits.shape[-2])[:, None], axis=-2)
  y = jnp.sum(share.sum(axis=-2) * _cells(logits.shape[-3])[:, None], axis=-2)
  return jnp.stack([x, y], axis=-1)


def _cells(count: int) -> Array:
  """Computes the centers of the cells of one dimension, `[count]`."""
  return (jnp.arange(count) + 0.5) * (2 / count) - 1


def gaussian_heatmaps(
  joints: Array, size: tuple[int, int], sigma: float = SIGMA
) -> Array:
  """Makes heat maps that are Gaussians around joints.

  Args:
    joints: The joints, `[..., J, 2]`, normalized image. A joint outside the
      image has its heat map at the nearest edge.
    size: The numbers of rows and columns, (H, W).
    sigma: The standard deviation of the Gaussians, in cells.

  Returns:
    The heat maps, `[..., H, W, J]`, float32, each with a sum of one.
  """
  joints = joints.astype(wide_type(joints))

  def along(places, count):
    """Makes the Gaussians of one dimension: `[..., J]` -> `[..., count, J]`."""
    distance = (_cells(count)[:, None] - places[..., None, :]) * (count / 2)
    return jax.nn.softmax(-jnp.square(distance / sigma) / 2, axis=-2)

  rows, columns = along(joints[..., 1], size[0]), along(joints[..., 0], size[1])
  return rows[..., :, None, :] * columns[..., None, :, :]


def heatmap_loss(logits: Array, joints: Array, sigma: float = SIGMA) -> Array:
  """Computes the cross entropy of heat maps with Gaussians around the joints.

  Args:
    logits: The logits of the heat maps, `[..., H, W, J]`.
    joints: The true joints, `[..., J, 2]`, normalized image.
    sigma: See `gaussian_heatmaps`.

  Returns:
    The mean over all joints, in nats; a scalar.
  """
  height, width = logits.shape[-3:-1]
  target = gaussian_heatmaps(joints, (height, width), sigma)
  shares = jax.nn.log_softmax(logits.astype(wide_type(logits)), axis=(-3, -2))
  return -jnp.mean(jnp.sum(target * shares, axis=(-3, -2)))


def keypoint_l1(predicted: Array, true: Array) -> Array:
  """Averages the absolute differences of 2D joints, `[..., J, 2]`, a scalar."""
  return jnp.mean(jnp.abs(predicted - true))
