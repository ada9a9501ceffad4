"""Averages feature maps over boxes (RoIAlign, He et al., arXiv:1703.06870).

Notation: J joints, and a feature map of H rows, W columns and C channels.
Positions are on the normalized image, where -1 and 1 are the edges.
"""

import jax
import jax.numpy as jnp

from semgcn_jax.geometry.skeletons import Skeleton, bone_vectors
from semgcn_jax.models.functional import wide_type

Array = jax.Array


def roi_align(
  features: Array, centers: Array, sides: Array, *, samples: int = 2
) -> Array:
  """Averages a feature map over a square box around each joint.

  A box is a single cell of RoIAlign: the map is interpolated at `samples` x
  `samples` evenly spaced points of the box, and averaged. Like
  `torchvision.ops.roi_align` with `output_size=1` and `aligned=True`, a point
  more than a cell outside the map counts as zero, and a closer one is moved to
  the edge.

  Interpolation is a weighted sum over rows and columns, so this is one matrix
  product per image, without a gather, and with gradients for all arguments.

  Args:
    features: The feature map, `[..., H, W, C]`.
    centers: The centers x, y of the boxes, `[..., J, 2]`, normalized image.
    sides: The side of the boxes of each image, `[...]`, in the same unit.
    samples: The number of points along each side of a box.

  Returns:
    The averaged features, `[..., J, C]`, float32.
  """
  height, width, channels = features.shape[-3:]
  sides = sides[..., None]
  columns = _weights(centers[..., 0], sides, width, samples)
  rows = _weights(centers[..., 1], sides, height, samples)
  # Their product takes less memory than rows of features, J x W x C.
  weights = rows[..., :, None] * columns[..., None, :]
  weights = weights.reshape(*weights.shape[:-2], height * width)
  pixels = features.reshape(*features.shape[:-3], height * width, channels)
  return jnp.einsum(
    '...jp,...pc->...jc',
    weights.astype(features.dtype),
    pixels,
    preferred_element_type=wide_type(features),
  )


def _weights(centers: Array, sides: Array, cells: int, samples: int) -> Array:
  """Computes the weights of N columns, or rows, in boxes, `[..., J, N]`.

  They sum to one for a box within the map.
  """
  # The points in cells, with the center of the first cell at zero.
  steps = (jnp.arange(samples) + 0.5) / samples - 0.5
  points = centers[..., None] + sides[..., None] * steps
  points = (points + 1) * (cells / 2) - 0.5
  seen = (points >= -1) & (points <= cells)
  points = jnp.clip(points, 0, cells - 1)
  distance = jnp.abs(points[..., None] - jnp.arange(cells))
  weights = jnp.maximum(1 - distance, 0) * seen[..., None]
  return jnp.mean(weights, axis=-2)


def mean_bone_length(joints: Array, skeleton: Skeleton) -> Array:
  """Averages the lengths of the bones of poses: `[..., J, D]` -> `[...]`.

  A bone of length zero gets a zero gradient.
  """
  squares = jnp.sum(jnp.square(bone_vectors(joints, skeleton)), axis=-1)
  # The square root has no gradient at zero.
  positive = squares > 0
  lengths = jnp.sqrt(jnp.where(positive, squares, 1))
  return jnp.mean(jnp.where(positive, lengths, 0), axis=-1)
