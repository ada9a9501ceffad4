"""Errors per pose, so that averages are over exact counts.

All functions take predictions and targets `[..., J, 3]` in metres, with the
root joint at the origin unless noted otherwise, and return `[...]`. They raise
an AssertionError if the shapes differ.
"""

import chex
import jax
import jax.numpy as jnp

Array = jax.Array

_TINY = 1e-30  # Keeps the scale finite where a prediction is a single point.


def joint_errors(predicted: Array, target: Array) -> Array:
  """Computes the distance of each joint, `[..., J]`, metres."""
  chex.assert_equal_shape([predicted, target])
  return jnp.linalg.norm(predicted - target, axis=-1)


def mpjpe(predicted: Array, target: Array) -> Array:
  """Computes MPJPE, the mean per joint position error, metres (Protocol 1)."""
  return joint_errors(predicted, target).mean(axis=-1)


def n_mpjpe(predicted: Array, target: Array) -> Array:
  """Computes the MPJPE after the best scaling of each prediction, metres.

  This is the N-MPJPE of arXiv:1804.01110.
  """
  chex.assert_equal_shape([predicted, target])
  scale = jnp.sum(predicted * target, axis=(-2, -1), keepdims=True)
  size = jnp.sum(jnp.square(predicted), axis=(-2, -1), keepdims=True)
  scale = scale / jnp.maximum(size, _TINY)
  return mpjpe(scale * predicted, target)


def p_mpjpe(predicted: Array, target: Array) -> Array:
  """Computes the MPJPE after `procrustes_align`, metres (Protocol 2)."""
  return mpjpe(procrustes_align(predicted, target), target)


def procrustes_align(predicted: Array, target: Array) -> Array:
  """Aligns each prediction to its target by the best similarity transform.

  Args:
    predicted: The predictions, `[..., J, 3]`, the root anywhere.
    target: The targets, `[..., J, 3]`, the root anywhere.

  Returns:
    The predictions, `[..., J, 3]`, scaled, rotated (never mirrored) and
    translated (Umeyama, 1991).
  """
  chex.assert_equal_shape([predicted, target])
  mean_p = predicted.mean(axis=-2, keepdims=True)
  mean_t = target.mean(axis=-2, keepdims=True)
  p, t = predicted - mean_p, target - mean_t
  u, s, vt = jnp.linalg.svd(jnp.swapaxes(p, -1, -2) @ t)
  # Undo a reflection along the least significant direction.
  sign = jnp.sign(jnp.linalg.det(u @ vt))
  flip = jnp.stack([jnp.ones_like(sign), jnp.ones_like(sign), sign], axis=-1)
  rotation = (u * flip[..., None, :]) @ vt
  size = jnp.sum(jnp.square(p), axis=(-2, -1))
  scale = (s * flip).sum(axis=-1) / jnp.maximum(size, _TINY)
  return scale[..., None, None] * (p @ rotation) + mean_t


def pck(predicted: Array, target: Array, threshold: float = 0.15) -> Array:
  """Computes the percentage of joints within the threshold, metres."""
  closer = joint_errors(predicted, target) < threshold
  return 100 * closer.mean(axis=-1)


def auc(predicted: Array, target: Array, most: float = 0.15) -> Array:
  """Averages PCK over 31 thresholds from 0 to `most`, metres.

  With 150 mm, these are the 0, 5, ..., 150 mm of arXiv:1611.09813.
  """
  thresholds = jnp.linspace(0, most, 31)
  closer = joint_errors(predicted, target)[..., None] < thresholds
  return 100 * closer.mean(axis=(-2, -1))


def pckh(joints: Array, truth: Array, head: tuple[int, int]) -> Array:
  """Computes the percentage of 2D joints within half the head size.

  This is PCKh@0.5 (Andriluka et al., CVPR 2014), with the length of the true
  head bone as the head size.

  Args:
    joints: The 2D joints, `[..., J, 2]`, in any unit.
    truth: The true ones, `[..., J, 2]`.
    head: The two joints of the head bone.
  """
  parent, child = head
  size = jnp.linalg.norm(truth[..., parent, :] - truth[..., child, :], axis=-1)
  closer = joint_errors(joints, truth) < size[..., None] / 2
  return 100 * closer.mean(axis=-1)
