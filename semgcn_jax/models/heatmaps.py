"""Finds 2D joints by heat maps (integral regression, arXiv:1711.08229).

Coordinates are on the normalised picture, where -1 and 1 are its edges, x
before y. Cell i of W cells along an axis has its middle at
2 (i + 0.5) / W - 1.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.models.layers import BatchNorm

Array = jax.Array

SIGMA = 1.0  # The deviation of the Gaussian heat maps of the loss, in cells.


class HeatmapHead(nn.Module):
  """Makes a heat map of each joint from the last features of a backbone.

  Attributes:
    num_joints: The number of joints, J.
    features: The channels of the transposed convolutions.
    num_deconvs: The number of transposed convolutions, of which each doubles
      the height and the width.
    norm: Makes the batch norms.
    dtype: The type of the activations; None takes that of the input.
  """

  num_joints: int
  features: int = 256
  num_deconvs: int = 3
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, *, train: bool = False) -> Array:
    """Maps features `[B, h, w, C]` to logits `[B, H, W, J]`, float32."""
    normal = nn.initializers.normal(0.001)  # As the paper's authors do.
    for i in range(self.num_deconvs):
      deconv = _Deconv(self.features, self.norm, self.dtype, name=f'deconv{i}')
      x = deconv(x, train=train)
    logits = nn.Conv(
      self.num_joints, (1, 1), kernel_init=normal, dtype=self.dtype, name='out'
    )(x)
    return logits.astype(jnp.float32)


class _Deconv(nn.Module):
  """A transposed convolution of stride 2, then a batch norm and a ReLU."""

  features: int
  norm: Callable[..., nn.Module]
  dtype: Any

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps `[B, H, W, C]` to `[B, 2 H, 2 W, D]`."""
    x = nn.ConvTranspose(
      self.features,
      (4, 4),
      (2, 2),
      use_bias=False,
      kernel_init=nn.initializers.he_normal(),
      dtype=self.dtype,
      name='conv',
    )(x)
    return self.norm(relu=True, name='norm')(x, train=train)


def soft_argmax(logits: Array) -> Array:
  """Takes the mean place of each heat map (paper eq. 1 of the integral method).

  Args:
    logits: The heat maps before their softmax, `[..., H, W, J]`.

  Returns:
    The joints, `[..., J, 2]`.
  """
  height, width, joints = logits.shape[-3:]
  flat = logits.reshape(*logits.shape[:-3], height * width, joints)
  heat = jax.nn.softmax(flat.astype(jnp.float32), axis=-2).reshape(logits.shape)
  x = jnp.einsum('...hwj,w->...j', heat, _middles(width))
  y = jnp.einsum('...hwj,h->...j', heat, _middles(height))
  return jnp.stack([x, y], axis=-1)


def _middles(count: int) -> Array:
  """Lists the middles of the cells along an axis, `[K]`."""
  return (jnp.arange(count) + 0.5) * (2 / count) - 1


def gaussian_heatmaps(joints: Array, height: int, width: int) -> Array:
  """Draws heat maps: a Gaussian of `SIGMA` cells for each joint, with sum 1.

  Args:
    joints: The joints, `[..., J, 2]`.
    height: The number of rows, H.
    width: The number of columns, W.

  Returns:
    The heat maps, `[..., H, W, J]`. That of a joint far outside of the picture
    lies at the edge.
  """

  def along(places, count):
    places = jnp.clip(places, -1, 1)
    cells = (places[..., None] - _middles(count)) * (count / 2)
    return jax.nn.softmax(-jnp.square(cells / SIGMA) / 2, axis=-1)

  x, y = along(joints[..., 0], width), along(joints[..., 1], height)
  return jnp.einsum('...jh,...jw->...hwj', y, x)


def heatmap_loss(logits: Array, joints: Array) -> Array:
  """Computes the cross entropy between heat maps and Gaussians, a scalar.

  Args:
    logits: The heat maps before their softmax, `[B, H, W, J]`.
    joints: The true joints, `[B, J, 2]`.
  """
  height, width, count = logits.shape[-3:]
  flat = logits.reshape(*logits.shape[:-3], height * width, count)
  log_heat = jax.nn.log_softmax(flat, axis=-2).reshape(logits.shape)
  wanted = gaussian_heatmaps(joints, height, width)
  return -jnp.mean(jnp.sum(wanted * log_heat, axis=(-3, -2)))


def keypoint_l1(joints: Array, truth: Array) -> Array:
  """Averages the distances along x and y between joints, a scalar.

  Args:
    joints: The joints, `[B, J, 2]`.
    truth: The true ones, `[B, J, 2]`.
  """
  return jnp.mean(jnp.abs(joints - truth))
