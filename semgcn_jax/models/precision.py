"""The precision of matrix products."""

import contextlib

import jax


def matmul_precision(precision: str) -> contextlib.AbstractContextManager:
  """Sets the precision of float32 products within a `with` block.

  Args:
    precision: A value of the setting `precision`.
  """
  return jax.default_matmul_precision(
    'highest' if precision == 'highest' else 'default'
  )
