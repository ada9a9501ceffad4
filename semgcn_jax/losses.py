"""Training losses: a measure of error vectors, over joints or also bones."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from semgcn_jax.skeleton import Skeleton, bone_vectors

HUBER_METRES = 0.05  # Where 'huber' goes from squared to straight.


def squared(vectors: jax.Array) -> jax.Array:
  """Mean of the squared coordinates of `[..., 3]`: `[...]`, m^2."""
  return jnp.mean(jnp.square(vectors), axis=-1)


def distance(vectors: jax.Array) -> jax.Array:
  """Length of `[..., 3]`: `[...]`, metres; what MPJPE measures.

  Its gradient at zero is zero.
  """
  squares = jnp.sum(jnp.square(vectors), axis=-1)
  is_zero = squares == 0
  return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squares)))


def huber(vectors: jax.Array) -> jax.Array:
  """The length of `[..., 3]`, squared below `HUBER_METRES`: `[...]`, metres.

  Smooth at that length (Huber, 1964), divided by it.
  """
  length = distance(vectors)
  near = jnp.square(length) / (2 * HUBER_METRES)
  return jnp.where(length < HUBER_METRES, near, length - HUBER_METRES / 2)


# --loss: the measure, and whether bones count too.
LOSSES: dict[str, tuple[Callable[[jax.Array], jax.Array], bool]] = {
  'joints': (squared, False),
  'joints_bones': (squared, True),
  'distance': (distance, False),
  'distance_bones': (distance, True),
  'huber': (huber, False),
  'huber_bones': (huber, True),
}


def pose_loss(
  predicted: jax.Array,
  target: jax.Array,
  *,
  measure: Callable[[jax.Array], jax.Array],
  bones: bool,
  skeleton: Skeleton,
  num_predicted: int,
) -> jax.Array:
  """Mean error over the joints that the model predicts.

  Bones, parent minus child, are weighted like the joints (paper eq. 7, 8); the
  paper's sums are divided by the number of predicted joints.

  Args:
    predicted: `[..., J, 3]`, metres.
    target: `[..., J, 3]`, metres.
    measure: `[..., 3]` -> `[...]`.
    bones: whether bone vectors count too.
    skeleton: of J joints.
    num_predicted: joints that count in the mean; J, or J - 1 for a model whose
      root is zero, as the target's, by construction.

  Returns:
    A scalar in the unit of the measure.

  Raises:
    AssertionError: the shapes differ, or have another number of joints.
  """
  chex.assert_equal_shape([predicted, target])
  chex.assert_axis_dimension(target, -2, skeleton.num_joints)
  errors = predicted - target
  share = num_predicted / skeleton.num_joints
  total = jnp.mean(measure(errors)) / share
  if bones:
    of_bones = measure(bone_vectors(errors, skeleton))
    count = errors[..., 0].size * share
    total = total + jnp.sum(of_bones) / count
  return total
