"""Chooses between XLA and kernels of our own."""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array


def by_gpu_kernel(name: str, function: Callable[..., Any], *args: Array) -> Any:
  """Computes a function of (x, weights, ...), by a GPU kernel if one suits.

  Args:
    name: The name of the function in `hopper.py` that computes the same.
    function: The function, which also gives the derivatives.
    *args: Its arguments, of which the first are x, `[J, ..., C]`, and the
      weights, `[2, C, D]`.

  Returns:
    What the function returns.
  """
  x, weights, *_ = args
  if x.dtype != jnp.bfloat16 or not _has_hopper():
    return function(*args)
  # Few need Pallas, whose import takes a while.
  from semgcn_jax.models import hopper

  if not hopper.fits(x, weights):
    return function(*args)

  @jax.custom_vjp
  def compute(*args):
    kernel = getattr(hopper, name)
    return jax.lax.platform_dependent(*args, cuda=kernel, default=function)

  compute.defvjp(
    lambda *args: (compute(*args), args),
    lambda args, grads: jax.vjp(function, *args)[1](grads),
  )
  return compute(*args)


@functools.cache
def _has_hopper() -> bool:
  """Returns whether all GPUs are Hopper's, and JAX can program them."""
  capabilities = {
    getattr(device, 'compute_capability', '') for device in jax.local_devices()
  }
  return (
    capabilities == {'9.0'}
    and jax.__version_info__ >= (0, 11)
    and os.environ.get('SEMGCN_JAX_KERNELS') != '0'
  )
