"""Rotations in JAX, always in full float32 precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def rotate(rotation: Array, vectors: Array) -> Array:
  """Rotates vectors `[B, J, 3]` by matrices `[B, 3, 3]`."""
  return jnp.einsum(
    'bij,bkj->bki', rotation, vectors, precision=jax.lax.Precision.HIGHEST
  )


def multiply(*rotations: Array) -> Array:
  """Multiplies rotations `[B, 3, 3]`; the last one acts first."""
  product = rotations[0]
  for rotation in rotations[1:]:
    product = jnp.matmul(product, rotation, precision=jax.lax.Precision.HIGHEST)
  return product


def about_axis(axis: int, angle: Array) -> Array:
  """Returns rotations `[B, 3, 3]` about x, y or z by radians `[B]`."""
  vectors = jnp.zeros((*angle.shape, 3)).at[..., axis].set(angle)
  return about_vector(vectors)


def about_vector(vectors: Array) -> Array:
  """Returns rotations `[..., 3, 3]` for rotation vectors `[..., 3]`."""
  angle = jnp.sqrt(jnp.sum(jnp.square(vectors), axis=-1) + 1e-12)
  axes = jnp.broadcast_to(jnp.eye(3), (*vectors.shape, 3))
  turned = turn(axes, vectors / angle[..., None], angle)
  return turned.swapaxes(-1, -2)


def turn(vectors: Array, axis: Array, angle: Array) -> Array:
  """Rotates vectors by Rodrigues' formula.

  Args:
    vectors: The vectors, `[..., P, 3]`.
    axis: The unit axis of rotation for P vectors, `[..., 3]`.
    angle: The angle, `[...]`, radians.

  Returns:
    The rotated vectors, `[..., P, 3]`.
  """
  axis = jnp.broadcast_to(axis[..., None, :], vectors.shape)
  cos, sin = jnp.cos(angle)[..., None, None], jnp.sin(angle)[..., None, None]
  along = jnp.sum(axis * vectors, axis=-1, keepdims=True)
  return (
    vectors * cos + jnp.cross(axis, vectors) * sin + axis * along * (1 - cos)
  )


def to_axis(rays: Array) -> Array:
  """Returns the smallest rotations `[B, 3, 3]` that map rays to (0, 0, 1).

  Args:
    rays: Unit vectors `[B, 3]` other than (0, 0, -1).
  """
  x, y, z = jnp.moveaxis(rays, -1, 0)
  share = 1 / jnp.maximum(1 + z, 1e-6)
  rows = (
    (1 - x * x * share, -x * y * share, -x),
    (-x * y * share, 1 - y * y * share, -y),
    (x, y, z),
  )
  return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def y_down(points: Any) -> Any:
  """Rotates points `[..., 3]`, of NumPy or JAX, from z up to y down.

  x stays, y becomes z, and z becomes -y.
  """
  return points[..., np.array((0, 2, 1))] * np.array((1, -1, 1), points.dtype)
