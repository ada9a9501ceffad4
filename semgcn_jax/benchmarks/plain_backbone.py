"""Benchmarks a plain linen ResNet-50 with a 2D head, as a baseline.

It has the layers of `ImageNetwork`'s backbone and head in their simplest form,
and nothing else: no graph network, no pooling, no optimizer.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.benchmarks.speed import median_seconds
from semgcn_jax.models.heatmaps import soft_argmax

_STAGES = (3, 4, 6, 3)


class PlainNetwork(nn.Module):
  """ResNet-50 with three transposed convolutions and soft-argmax.

  Attributes:
    num_joints: The number of joints, J.
    dtype: The dtype of the activations.
  """

  num_joints: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Finds joints `[B, J, 2]` in images `[B, S, S, 3]`."""
    conv = functools.partial(nn.Conv, use_bias=False, dtype=self.dtype)
    norm = functools.partial(
      nn.BatchNorm, use_running_average=not train, dtype=self.dtype
    )
    x = nn.relu(norm()(conv(64, (7, 7), (2, 2))(x)))
    x = nn.max_pool(x, (3, 3), (2, 2), 'SAME')
    for stage, blocks in enumerate(_STAGES):
      width = 64 * 2**stage
      for block in range(blocks):
        stride = 2 if stage and not block else 1
        y = nn.relu(norm()(conv(width, (1, 1))(x)))
        y = nn.relu(norm()(conv(width, (3, 3), (stride, stride))(y)))
        y = norm(scale_init=nn.initializers.zeros)(conv(4 * width, (1, 1))(y))
        if not block:
          x = norm()(conv(4 * width, (1, 1), (stride, stride))(x))
        x = nn.relu(x + y)
    for _ in range(3):
      x = nn.ConvTranspose(
        256, (4, 4), (2, 2), use_bias=False, dtype=self.dtype
      )(x)
      x = nn.relu(norm()(x))
    return soft_argmax(nn.Conv(self.num_joints, (1, 1), dtype=self.dtype)(x))


def measure_plain(
  num_joints: int,
  batch_size: int,
  size: int,
  precision: str,
  *,
  repeats: int,
  steps: int = 10,
) -> dict[str, float]:
  """Measures the plain network on one device.

  Args:
    num_joints: The number of joints.
    batch_size: The images per step.
    size: The side of an image, pixels.
    precision: A value of the setting `backbone_precision`.
    repeats: The number of measurements to take the median of.
    steps: The steps per measurement, in one call.

  Returns:
    The images per second, 'train' (forward and backward) and 'forward'.
  """
  dtype = jnp.bfloat16 if precision == 'bfloat16' else jnp.float32
  model = PlainNetwork(num_joints, dtype)
  images = jax.random.normal(
    jax.random.PRNGKey(0), (batch_size, size, size, 3), dtype
  )
  variables = jax.jit(functools.partial(model.init, train=False))(
    jax.random.PRNGKey(1), images[:1]
  )
  rates = {}
  with jax.default_matmul_precision(
    'highest' if precision == 'highest' else 'default'
  ):
    for name, function in _functions(model, steps).items():
      call = functools.partial(jax.jit(function), variables, images)
      rates[name] = batch_size * steps / median_seconds(call, repeats)
  return rates


def _functions(
  model: PlainNetwork, steps: int
) -> dict[str, Callable[[Any, jax.Array], Any]]:
  """Returns functions of variables and images that run several steps."""

  def train(variables, images):
    def loss(params):
      joints, updated = model.apply(
        variables | {'params': params},
        images,
        train=True,
        mutable=['batch_stats'],
      )
      return jnp.mean(jnp.abs(joints)), updated

    def step(params, _):
      grads, updated = jax.grad(loss, has_aux=True)(params)
      # Each step depends on the one before, so that none is optimized away.
      moved = jax.tree.map(lambda p, g: p - 1e-6 * g, params, grads)
      return moved, jax.tree.leaves(updated)[0].sum()

    return jax.lax.scan(step, variables['params'], length=steps)

  def forward(variables, images):
    def step(images, _):
      joints: Any = model.apply(variables, images, train=False)
      return images + joints.mean().astype(images.dtype), joints

    return jax.lax.scan(step, images, length=steps)

  return {'train': train, 'forward': forward}
