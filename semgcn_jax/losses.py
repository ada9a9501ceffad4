"""Training losses."""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from semgcn_jax.skeleton import Skeleton, bone_vectors

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def joints(predicted: jax.Array, target: jax.Array) -> jax.Array:
  """Mean squared error over all coordinates of `[..., J, 3]`, m^2.

  Raises:
    AssertionError: the shapes differ.
  """
  chex.assert_equal_shape([predicted, target])
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
    skeleton: of J joints.

  Raises:
    AssertionError: the shapes differ, or have another number of joints.
  """
  chex.assert_axis_dimension(target, -2, skeleton.num_joints)
  bones = bone_vectors(predicted - target, skeleton)
  return joints(predicted, target) + jnp.sum(jnp.square(bones)) / target.size


LOSSES = {
  'joints': lambda skeleton: joints,
  'joints_bones': lambda skeleton: functools.partial(
    joints_bones, skeleton=skeleton
  ),
}
