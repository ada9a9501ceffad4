"""Pools features around joints: RoIAlign (arXiv:1703.06870), without gathers.

The mean of bilinear samples on a grid is a product over the rows and the
columns of the picture. So it is two small matrix products, which have gradients
to everything.
"""

from typing import Any

import jax
import jax.numpy as jnp

from semgcn_jax.skeleton import Skeleton, bone_vectors

Array = jax.Array


def roi_align(
  features: Array, centers: Array, sides: Array, *, samples: int = 2
) -> Array:
  """Averages features in square boxes, one for each joint.

  It equals torchvision's `roi_align` with one output cell, `aligned=True` and
  `sampling_ratio=samples`: samples that lie more than a cell beyond the edge
  count as zero, and others are moved to the edge.

  Args:
    features: The features of the pictures, `[B, H, W, C]`.
    centers: The middle of the boxes, `[B, J, 2]`, x and y on the normalised
      picture, where -1 and 1 are its edges.
    sides: The side of the boxes of each picture, `[B]`, in the same unit.
    samples: The number of samples along each side of a box.

  Returns:
    The means, `[B, J, C]` float32.
  """
  height, width = features.shape[-3:-1]
  columns, rows = (
    _weights(centers[..., axis], sides[..., None], count, samples)
    for axis, count in ((0, width), (1, height))
  )
  # Rows first, as that leaves the least to multiply.
  pooled = jnp.einsum('bjh,bhwc->bjwc', rows.astype(features.dtype), features)
  return jnp.einsum(
    'bjw,bjwc->bjc',
    columns.astype(features.dtype),
    pooled,
    preferred_element_type=jnp.float32,
  )


def _weights(middle: Array, side: Array, count: int, samples: int) -> Array:
  """Weighs the cells along one axis, in the mean of the samples.

  Args:
    middle: The middle of each box along the axis, `[B, J]`.
    side: The side of the boxes, `[B, 1]`.
    count: The number of cells, K.
    samples: The number of samples.

  Returns:
    The weights, `[B, J, K]`.
  """
  offsets = (jnp.arange(samples) + 0.5) / samples - 0.5
  places = middle[..., None] + side[..., None] * offsets
  places = (places + 1) * (count / 2) - 0.5  # The first cell is at 0.
  inside = (places >= -1) & (places <= count)
  places = jnp.clip(places, 0, count - 1)
  distance = jnp.abs(places[..., None] - jnp.arange(count))
  weights = jnp.maximum(1 - distance, 0) * inside[..., None]
  return weights.mean(axis=-2)


def mean_bone_length(joints: Array, skeleton: Skeleton) -> Array:
  """Averages the lengths of the bones of each pose.

  Args:
    joints: Joints `[..., J, D]`.
    skeleton: The skeleton of these J joints.

  Returns:
    The lengths, `[...]`, in the unit of the joints. The gradient at a bone of
    length zero is zero.
  """
  bones: Any = bone_vectors(joints, skeleton)
  squares = jnp.sum(jnp.square(bones), axis=-1)
  is_zero = squares == 0
  lengths = jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squares)))
  return lengths.mean(axis=-1)
