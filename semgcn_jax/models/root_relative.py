"""Predicts poses with a network, with the root at the origin."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from semgcn_jax.geometry.skeletons import Skeleton, mirror


def predict(
  network: Callable[..., jax.Array],
  inputs: jax.Array,
  skeleton: Skeleton,
  *,
  flip_test: bool = False,
  mirror_inputs: Callable[[jax.Array, Skeleton], jax.Array] = mirror,
  mirror_predicted: Callable[[jax.Array, Skeleton], jax.Array] = mirror,
  length: jax.Array | None = None,
) -> jax.Array:
  """Predicts poses with the root at the origin.

  Args:
    network: Maps `[B, ..., J, 2]` to `[B, ..., J, 3]`, the root anywhere.
    inputs: The 2D joints, `[B, ..., J, 2]`, normalized screen.
    flip_test: Whether to average with the prediction for the mirrored input,
      mirrored back.
    mirror_inputs: Mirrors inputs, if they are not plain 2D joints.
    mirror_predicted: Mirrors predictions, if they are not plain poses.
    length: The number of frames before the padding of each clip, `[B]`, which
      a network of clips also takes.

  Returns:
    The poses, `[B, ..., J, 3]`, metres, followed by any other predictions.
  """

  def run(inputs, copies=1):
    if length is None:
      return network(inputs)
    return network(inputs, length=jnp.concatenate([length] * copies))

  if flip_test:
    # Both in one batch, which halves the program to compile.
    both = jnp.concatenate([inputs, mirror_inputs(inputs, skeleton)])
    both = run(both, copies=2)
    predicted, mirrored = jnp.split(both, 2)
    predicted = (predicted + mirror_predicted(mirrored, skeleton)) / 2
  else:
    predicted = run(inputs)
  return root_relative(predicted, skeleton)


def root_relative(predicted: jax.Array, skeleton: Skeleton) -> jax.Array:
  """Moves the roots of poses to the origin.

  Poses are `[..., J, 3]`, or `[..., J, D]` with more coordinates, which stay.
  """
  root = predicted[..., skeleton.root, None, :3]
  more = predicted.shape[-1] - 3
  return predicted - jnp.pad(root, [(0, 0)] * (root.ndim - 1) + [(0, more)])


def expected_error(predicted: jax.Array) -> jax.Array:
  """Computes the expected error of each joint, metres.

  The predictions of a model with `expected_error`: `[..., J, 4]` -> `[..., J]`.
  """
  return jax.nn.softplus(predicted[..., 3]) / 10
