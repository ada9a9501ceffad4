"""Training losses: a measure of error vectors, over joints or also bones.

A measure maps error vectors in metres, `[..., 3]`, to `[...]`.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import optax

from semgcn_jax.geometry.skeletons import Skeleton, bone_vectors
from semgcn_jax.models.root_relative import expected_error, root_relative

HUBER_METRES = 0.05  # Where 'huber' turns from quadratic to linear.


def squared(vectors: jax.Array) -> jax.Array:
  """Averages the squared coordinates, m^2."""
  return jnp.mean(jnp.square(vectors), axis=-1)


def distance(vectors: jax.Array) -> jax.Array:
  """Computes the length, metres, as in MPJPE; its gradient at zero is zero."""
  return optax.safe_norm(vectors, 0.0, axis=-1)


def huber(vectors: jax.Array) -> jax.Array:
  """Computes the Huber loss of the length over `HUBER_METRES`, metres."""
  losses = optax.huber_loss(distance(vectors), delta=HUBER_METRES)
  return losses / HUBER_METRES


MEASURES: dict[str, Callable[[jax.Array], jax.Array]] = {
  'joints': squared,
  'distance': distance,
  'huber': huber,
}


NODE_MEASURES: dict[str, Callable[[jax.Array], jax.Array]] = {
  'mse': jnp.square,
  'mae': jnp.abs,
}


def node_loss(
  predicted: jax.Array,
  target: jax.Array,
  *,
  measure: Callable[[jax.Array], jax.Array],
) -> jax.Array:
  """Averages the error over the features that are known.

  Args:
    predicted: The predicted features, `[..., J, D]`, standardized.
    target: The true ones, `[..., J, D]`; NaN where unknown.
    measure: Measures errors.

  Returns:
    A scalar; 0 if nothing is known.

  Raises:
    AssertionError: The shapes differ.
  """
  chex.assert_equal_shape([predicted, target])
  known = jnp.isfinite(target)
  errors = measure(jnp.where(known, predicted - target, 0))
  return jnp.sum(errors) / jnp.maximum(jnp.sum(known), 1)


def pose_loss(
  predicted: jax.Array,
  target: jax.Array,
  *,
  measure: Callable[[jax.Array], jax.Array],
  bones: bool,
  skeleton: Skeleton,
  num_predicted: int,
) -> jax.Array:
  """Averages the error over the joints that the model predicts.

  Bones, parent minus child, count like joints (paper eq. 7 and 8). The sums of
  the paper are divided by the number of predicted joints.

  Args:
    predicted: The predicted poses, `[..., J, 3]`, metres; or `[..., J, 4]` with
      the logit of the expected error, whose squared error is added.
    target: The true poses, `[..., J, 3]`, metres.
    measure: Measures error vectors, `[..., 3]` -> `[...]`.
    bones: Whether bone vectors count too.
    num_predicted: The number of joints to average over: J, or J - 1 for a model
      whose root is zero by construction.

  Returns:
    A scalar in the unit of the measure.

  Raises:
    AssertionError: The shapes differ, or the number of joints is not J.
  """
  chex.assert_equal_shape([predicted[..., :3], target])
  chex.assert_axis_dimension(target, -2, skeleton.num_joints)
  errors = predicted[..., :3] - target
  share = num_predicted / skeleton.num_joints
  total = jnp.mean(measure(errors)) / share
  if bones:
    of_bones = measure(bone_vectors(errors, skeleton))
    count = errors[..., 0].size * share
    total = total + jnp.sum(of_bones) / count
  if predicted.shape[-1] == 4:
    # The mean minimizes squares; the poses get no gradient from this.
    actual = jax.lax.stop_gradient(distance(root_relative(errors, skeleton)))
    missed = expected_error(predicted) - actual
    total = total + jnp.mean(jnp.square(missed))
  return total
