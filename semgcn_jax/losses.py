"""Training losses."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from semgcn_jax.skeleton import Skeleton, bone_vectors

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def joints(predicted: jax.Array, target: jax.Array) -> jax.Array:
  """Mean squared error over all coordinates of `[..., J, 3]`, m^2."""
  return jnp.mean(jnp.square(predicted - target))


def joints_bones(
  predicted: jax.Array, target: jax.Array, *, skeleton: Skeleton
) -> jax.Array:
  """Joint positions and bone vectors, weighted alike (paper eq. 7).

  The paper's sums over joints and bones are divided by the number of joint
  coordinates, so that the joint term is `joints` itself.

  Args:
    predicted: `[..., J, 3]`, metres.
    target: `[..., J, 3]`, metres.
  """
  bones = bone_vectors(predicted - target, skeleton)
  return joints(predicted, target) + jnp.sum(jnp.square(bones)) / target.size


LOSSES = {
  'joints': lambda skeleton: joints,
  'joints_bones': lambda skeleton: functools.partial(
    joints_bones, skeleton=skeleton
  ),
}
