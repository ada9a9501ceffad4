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
  return predicted - predicted[..., skeleton.root, None, :]
