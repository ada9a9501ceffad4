"""Predicts poses by a network, with the root at the origin."""

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
    inputs: The 2D joints, `[B, ..., J, 2]`, normalised screen.
    skeleton: The skeleton of the joints.
    flip_test: Whether to average with the prediction for the mirrored input,
      mirrored back.
    mirror_inputs: Mirrors inputs; those that `models.inputs` makes, and
      pictures, need a function of their own.
    mirror_predicted: Mirrors predictions; those with more than one x, of poses
      and 2D joints, need a function of their own.
    length: For a network of clips how many frames of each are real, `[B]`; the
      network is then given it, too.

  Returns:
    The poses, `[B, ..., J, 3]`, metres; with what follows them, where the
    network predicts more.
  """

  def run(inputs):
    if length is None:
      return network(inputs)
    # There may be mirrored clips behind the others.
    return network(inputs, length=jnp.resize(length, (len(inputs),)))

  if flip_test:
    # With both in one batch, there is half the program to compile.
    both = run(jnp.concatenate([inputs, mirror_inputs(inputs, skeleton)]))
    predicted, mirrored = jnp.split(both, 2)
    predicted = (predicted + mirror_predicted(mirrored, skeleton)) / 2
  else:
    predicted = run(inputs)
  return root_relative(predicted, skeleton)


def root_relative(predicted: jax.Array, skeleton: Skeleton) -> jax.Array:
  """Moves the roots of poses to the origin.

  Args:
    predicted: The poses, `[..., J, 3]`, metres, or `[..., J, D]` with more
      behind them, which stays.
    skeleton: The skeleton of the poses.
  """
  root = predicted[..., skeleton.root, None, :3]
  more = predicted.shape[-1] - 3
  return predicted - jnp.pad(root, [(0, 0)] * (root.ndim - 1) + [(0, more)])


def expected_error(predicted: jax.Array) -> jax.Array:
  """Takes the error that a network expects of each joint.

  Args:
    predicted: What a model with `expected_error` predicts, `[..., J, 4]`.

  Returns:
    The errors, `[..., J]`, metres.
  """
  return jax.nn.softplus(predicted[..., 3]) / 10
