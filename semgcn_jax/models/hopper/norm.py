"""Kernels of the batch norm of few poses.

XLA makes four kernels of a norm and three or four of its gradient. With few
poses, starting them takes longer than running them. Here it is one kernel each:
a multiprocessor has a few channels of all rows in its registers.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from semgcn_jax.models.hopper.tiles import ROWS, Array, Ref, rows

_pallas: Any = plgpu  # A type checker sees the oldest JAX, which lacks parts.

MAX_ROWS = 1024  # With more, XLA is faster.
COLUMNS = 8  # The channels of a multiprocessor, as few as Pallas allows.


def fits(
  x: Array,
  scale: Array,
  bias: Array,
  residual: Array | None,
  *,
  parts: int,
  axis_name: str | None,
  **_: Any,
) -> bool:
  """Returns whether the kernels take these arguments of `batch_normalize`."""
  number = x.size // x.shape[-1]
  return (
    x.dtype == jnp.bfloat16
    and scale.dtype == bias.dtype == jnp.float32
    and (
      residual is None or (residual.dtype, residual.shape) == (x.dtype, x.shape)
    )
    and x.shape[-1] % COLUMNS == 0
    and number % ROWS == 0
    and 0 < number <= MAX_ROWS
    and parts == 1
    and (axis_name is None or lax.axis_size(axis_name) == 1)
  )


def forward(
  x: Array,
  scale: Array,
  bias: Array,
  residual: Array | None,
  *,
  epsilon: float,
  relu: bool,
  **_: Any,
) -> tuple[Array, Array, Array]:
  """Computes `functional.batch_normalize` of one part, on one device.

  `[..., C]`, `[C]`, `[C]`, `[..., C]` -> `[..., C]`, `[1, C]`, `[1, C]`.
  """

  def normalize(*places):
    *given, y, statistics = places
    columns = _own_columns()
    scale, bias, nodes, *residuals = _read(columns, *given)
    mean, var, centered = _center(nodes)
    values = centered * rows(lax.rsqrt(var + epsilon) * scale, len(nodes))
    values += rows(bias, len(nodes))
    values = jnp.maximum(values, 0) if relu else values
    for residual in residuals:
      values += residual
    _write(y.at[:, columns], values)
    _write(statistics.at[0, columns], mean)
    _write(statistics.at[1, columns], var)

  arrays = _flat(x) if residual is None else _flat(x, residual)
  y, (mean, var) = _call(normalize, arrays[0])(_stack(scale, bias), *arrays)
  return y.reshape(x.shape), mean[None], var[None]


def backward(
  x: Array,
  scale: Array,
  bias: Array,
  residual: Array | None,
  cotangents: tuple[Array, Array, Array],
  *,
  epsilon: float,
  relu: bool,
  **_: Any,
) -> tuple[Array, Array, Array, Array | None]:
  """Computes the gradients of `forward`, given those by its results.

  The mean and the variance have none.
  """

  def differentiate_norm(affine, x, dy, dx, daffine):
    columns = _own_columns()
    scale, bias, nodes, dy = _read(columns, affine, x, dy)
    _, var, centered = _center(nodes)
    deviation = lax.rsqrt(var + epsilon)
    normalized = centered * rows(deviation, len(nodes))
    y = normalized * rows(scale, len(nodes)) + rows(bias, len(nodes))
    dy = jnp.where(y > 0, dy, 0) if relu else dy
    dscale, dbias = jnp.sum(dy * normalized, axis=0), jnp.sum(dy, axis=0)
    dy -= rows(dbias / len(dy), len(dy))
    dy -= normalized * rows(dscale / len(dy), len(dy))
    _write(dx.at[:, columns], rows(scale * deviation, len(dy)) * dy)
    _write(daffine.at[0, columns], dscale)
    _write(daffine.at[1, columns], dbias)

  dy = cotangents[0]
  arrays = _flat(x, dy)
  kernel = _call(differentiate_norm, arrays[0])
  dx, (dscale, dbias) = kernel(_stack(scale, bias), *arrays)
  dresidual = None if residual is None else dy
  return dx.reshape(x.shape), dscale, dbias, dresidual


def _flat(*arrays: Array) -> list[Array]:
  """Merges the dimensions but the last: `[..., C]` -> `[R, C]`."""
  return [x.reshape(-1, x.shape[-1]) for x in arrays]


def _call(body: Callable, x: Array) -> Callable:
  """Makes a kernel whose results are like x and two numbers per channel."""
  return plgpu.kernel(
    body,
    out_type=(
      jax.ShapeDtypeStruct(x.shape, x.dtype),
      jax.ShapeDtypeStruct((2, x.shape[1]), jnp.float32),
    ),
    grid=(x.shape[1] // COLUMNS,),
    grid_names=('block',),
    compiler_params=plgpu.CompilerParams(
      lowering_semantics=plgpu.LoweringSemantics.Warpgroup
    ),
  )


def _stack(scale: Array, bias: Array) -> Array:
  """Stacks two vectors.

  XLA does this for all norms at once, unlike a concatenation.
  """
  return jnp.where(np.arange(2)[:, None] == 0, scale, bias)


def _own_columns() -> Any:
  """Returns the columns of this multiprocessor."""
  return pl.ds(lax.axis_index('block') * COLUMNS, COLUMNS)


def _read(columns: Any, affine: Ref, *arrays: Ref) -> list[Array]:
  """Reads scale, bias and arrays into registers, as float32."""
  values = [
    _pallas.load(place.at[..., columns], optimized=False)
    for place in (affine.at[0], affine.at[1], *arrays)
  ]
  return [
    plgpu.layout_cast(value, plgpu.Layout.WGMMA) if value.ndim == 2 else value
    for value in (value.astype(jnp.float32) for value in values)
  ]


def _write(place: Ref, values: Array) -> None:
  """Writes to the memory of the GPU, where rows are a few bytes."""
  values = values.astype(place.dtype)
  if jax.__version_info__ < (0, 12):
    place[...] = values
  else:
    _pallas.store(place, values, optimized=False)


def _center(x: Array) -> tuple[Array, Array, Array]:
  """Returns the mean and the variance of each column, and x less the mean."""
  mean = jnp.sum(x, axis=0) / len(x)
  centered = x - rows(mean, len(x))
  return mean, jnp.sum(jnp.square(centered), axis=0) / len(x), centered
