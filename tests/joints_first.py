"""Layers, whose joints come first, on poses, whose joints come last but one."""

import jax
import jax.numpy as jnp


def apply(layer, variables, x, **kwargs):
  """Applies a layer, whose joints come first, to `[..., J, C]`."""
  y = layer.apply(variables, jnp.moveaxis(x, -2, 0), **kwargs)
  y, updated = y if isinstance(y, tuple) else (y, None)
  y = jnp.moveaxis(y, 0, -2)
  return y if updated is None else (y, updated)


def init(layer, x, **kwargs):
  return layer.init(jax.random.key(0), jnp.moveaxis(x, -2, 0), **kwargs)
