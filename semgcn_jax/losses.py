"""Training losses."""

import chex
import jax
import jax.numpy as jnp

from semgcn_jax.skeleton import Skeleton, bone_vectors


def joints(
  predicted: jax.Array,
  target: jax.Array,
  *,
  skeleton: Skeleton,
  num_predicted: int,
) -> jax.Array:
  """Mean squared error over the coordinates that the model predicts.

  Args:
    predicted: `[..., J, 3]`, metres.
    target: `[..., J, 3]`, metres.
    skeleton: of J joints.
    num_predicted: joints that count in the mean; J, or J - 1 for a model whose
      root is zero, as the target's, by construction.

  Returns:
    A scalar, m^2.

  Raises:
    AssertionError: the shapes differ, or have another number of joints.
  """
  chex.assert_equal_shape([predicted, target])
  chex.assert_axis_dimension(target, -2, skeleton.num_joints)
  share = num_predicted / skeleton.num_joints
  return jnp.mean(jnp.square(predicted - target)) / share


def joints_bones(
  predicted: jax.Array,
  target: jax.Array,
  *,
  skeleton: Skeleton,
  num_predicted: int,
) -> jax.Array:
  """Joint positions and bone vectors, weighted alike (paper eq. 7).

  The paper's sums over joints and bones are divided by the number of predicted
  coordinates, so that the joint term is `joints` itself. Arguments as there.
  """
  fields = {'skeleton': skeleton, 'num_predicted': num_predicted}
  joint_term = joints(predicted, target, **fields)
  bones = jnp.square(bone_vectors(predicted - target, skeleton))
  count = target.size * num_predicted / skeleton.num_joints
  return joint_term + jnp.sum(bones) / count


LOSSES = {'joints': joints, 'joints_bones': joints_bones}
