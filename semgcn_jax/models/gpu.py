"""Chooses between XLA and kernels of our own."""

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def by_gpu_kernel(
  name: str, function: Callable[..., Any], *args: Any, **fields: Any
) -> Any:
  """Computes a function, by GPU kernels if there are any for its arguments.

  Args:
    name: The name of the file in `hopper/` that has the kernels.
    function: The function, which XLA compiles and differentiates otherwise.
    *args: Its arguments that are arrays, tuples of them, or None. The first are
      the nodes, `[J, ..., C]`.
    **fields: Its other arguments.

  Returns:
    What the function returns.
  """
  function = functools.partial(function, **fields)
  if args[0].dtype != jnp.bfloat16 or not _has_hopper():
    return function(*args)
  # Imported only here: Pallas takes a while to import, and few need it.
  kernels = importlib.import_module(f'semgcn_jax.models.hopper.{name}')
  if not kernels.fits(*args, **fields):
    return function(*args)
  forward, backward = (
    functools.partial(kernel, **fields)
    for kernel in (kernels.forward, kernels.backward)
  )
  gradient = _gradient(function)
  backward = _on_cuda(backward, gradient, _gradient(gradient))
  return _on_cuda(forward, function, backward)(*args)


def _gradient(function: Callable[..., Any]) -> Callable[..., Any]:
  """Makes the function of args and dy that differentiates by the args."""
  return lambda *args: jax.vjp(function, *args[:-1])[1](args[-1])


def _on_cuda(
  kernel: Callable[..., Any],
  function: Callable[..., Any],
  gradient: Callable[..., Any],
) -> Callable[..., Any]:
  """Makes a function that runs the kernel on CUDA devices only."""

  @jax.custom_vjp
  def compute(*args):
    return jax.lax.platform_dependent(*args, cuda=kernel, default=function)

  compute.defvjp(
    lambda *args: (compute(*args), args),
    lambda args, dy: gradient(*args, dy),
  )
  return compute


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
