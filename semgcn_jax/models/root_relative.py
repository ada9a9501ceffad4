"""Predicts poses by a network, with the root at the origin."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from semgcn_jax.skeleton import Skeleton, mirror


def predict(
  network: Callable[[jax.Array], jax.Array],
  inputs: jax.Array,
  skeleton: Skeleton,
  *,
  flip_test: bool = False,
) -> jax.Array:
  """Predicts poses with the root at the origin.

  Args:
    network: Maps `[B, ..., J, 2]` to `[B, ..., J, 3]`, the root anywhere.
    inputs: The 2D joints, `[B, ..., J, 2]`, normalised screen.
    skeleton: The skeleton of the joints.
    flip_test: Whether to average with the prediction for the mirrored input,
      mirrored back.

  Returns:
    The poses, `[B, ..., J, 3]`, metres.
  """
  if flip_test:
    # With both in one batch, there is half the program to compile.
    both = network(jnp.concatenate([inputs, mirror(inputs, skeleton)]))
    predicted, mirrored = jnp.split(both, 2)
    predicted = (predicted + mirror(mirrored, skeleton)) / 2
  else:
    predicted = network(inputs)
  return root_relative(predicted, skeleton)


def root_relative(predicted: jax.Array, skeleton: Skeleton) -> jax.Array:
  """Takes the poses of what a network predicts, `[..., J, 3]`, re-rooted."""
  poses = predicted[..., :3]
  return poses - poses[..., skeleton.root, None, :]


def expected_error(predicted: jax.Array) -> jax.Array:
  """Takes the error that a network expects of each joint.

  Args:
    predicted: What a model with `expected_error` predicts, `[..., J, 4]`.

  Returns:
    The errors, `[..., J]`, metres.
  """
  return jax.nn.softplus(predicted[..., 3]) / 10
