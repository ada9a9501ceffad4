"""Rotates in JAX, always in full float32, whatever the network computes in."""

import jax
import jax.numpy as jnp

Array = jax.Array


def rotate(rotation: Array, vectors: Array) -> Array:
  """Rotates vectors `[B, J, 3]` by matrices `[B, 3, 3]`."""
  return jnp.einsum(
    'bij,bkj->bki', rotation, vectors, precision=jax.lax.Precision.HIGHEST
  )


def multiply(*rotations: Array) -> Array:
  """Multiplies rotations `[B, 3, 3]`, of which the last acts first."""
  product = rotations[0]
  for rotation in rotations[1:]:
    product = jnp.matmul(product, rotation, precision=jax.lax.Precision.HIGHEST)
  return product


def about_axis(axis: int, angle: Array) -> Array:
  """Makes the rotations `[B, 3, 3]` about x, y or z by radians `[B]`."""
  vectors = jnp.zeros((*angle.shape, 3)).at[..., axis].set(angle)
  return about_vector(vectors)


def about_vector(vectors: Array) -> Array:
  """Makes the rotations `[..., 3, 3]` about vectors `[..., 3]`, radians.

  The length of a vector is the angle (Rodrigues' formula).
  """
  angle = jnp.sqrt(jnp.sum(jnp.square(vectors), axis=-1) + 1e-12)
  x, y, z = jnp.moveaxis(vectors / angle[..., None], -1, 0)
  zero = jnp.zeros_like(x)
  cross = _matrix([[zero, -z, y], [z, zero, -x], [-y, x, zero]])
  sin, cos = jnp.sin(angle)[..., None, None], jnp.cos(angle)[..., None, None]
  return jnp.eye(3) + sin * cross + (1 - cos) * multiply(cross, cross)


def to_axis(rays: Array) -> Array:
  """Makes the smallest rotations that take unit rays to (0, 0, 1).

  Args:
    rays: Unit vectors, `[B, 3]`, none of which is (0, 0, -1).

  Returns:
    The rotations, `[B, 3, 3]`.
  """
  x, y, z = jnp.moveaxis(rays, -1, 0)
  share = 1 / jnp.maximum(1 + z, 1e-6)
  return _matrix(
    [
      [1 - x * x * share, -x * y * share, -x],
      [-x * y * share, 1 - y * y * share, -y],
      [x, y, z],
    ]
  )


def _matrix(rows: list[list[Array]]) -> Array:
  return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
