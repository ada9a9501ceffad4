"""The arithmetic of the layers: pure functions with written-out gradients.

Notation: J joints, C input channels, D output channels. The joints come first:
nodes are `[J, ..., C]`. So mixing the joints is one matrix product over all the
following dimensions, mapping the channels is one over all the preceding ones,
and nothing is ever transposed. Where autodiff would transpose, the gradient is
written out, for reverse mode only.

Parameters, statistics and sums over a batch are float32; activations have the
type of the layer's input.
"""

import functools
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.models.gpu import by_gpu_kernel

Array = jax.Array


@jax.custom_vjp
def linear(x: Array, kernel: Array) -> Array:
  """Maps the channels, X W: `[..., C]`, `[C, D]` -> `[..., D]`."""
  return x @ kernel.astype(x.dtype)


def _linear_bwd(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, ...]:
  x, kernel = residuals
  x, rows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
  dkernel = jnp.einsum(
    'rc,rd->cd', x, rows, preferred_element_type=wide_type(x)
  )
  return dy @ kernel.astype(dy.dtype).T, dkernel.astype(kernel.dtype)


def wide_type(x: Array) -> Any:
  """Returns the type for sums over a batch: float32, or that of x if wider."""
  return jnp.promote_types(x.dtype, jnp.float32)


linear.defvjp(lambda *args: (linear(*args), args), _linear_bwd)


@jax.custom_vjp
def mix(adjacency: Array, x: Array) -> Array:
  """Mixes the joints, A X: `[J, J]`, `[J, ..., C]` -> `[J, ..., C]`."""
  # With x as a matrix, no compiler transposes it.
  mixed = adjacency.astype(x.dtype) @ x.reshape(len(x), -1)
  return mixed.reshape(-1, *x.shape[1:])


def _mix_bwd(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
  adjacency, x = residuals
  return _dot_joints(dy, x), mix(adjacency.T, dy)


mix.defvjp(lambda *args: (mix(*args), args), _mix_bwd)


def _dot_joints(x: Array, y: Array) -> Array:
  """Computes the dot products of all joints of x with all of y, `[J, J]`."""
  x, y = (z.reshape(len(z), -1) for z in (x, y))
  return jnp.einsum('ir,jr->ij', x, y, preferred_element_type=wide_type(x))


@jax.jit
def graph_conv(x: Array, kernel: Array, adjacency: Array) -> Array:
  """Convolves nodes over a graph, A X W (paper eq. 1).

  `[J, ..., C]`, `[C, D]`, `[J, J]` -> `[J, ..., D]`.
  """
  # Mixing is cheaper where there are fewer channels.
  if x.shape[-1] < kernel.shape[-1]:
    return linear(mix(adjacency, x), kernel)
  return mix(adjacency, linear(x, kernel))


def semantic_adjacency(edge_logits: Array, mask: np.ndarray) -> Array:
  """Applies a softmax to each row of the masked logits (paper eq. 2 and 3).

  The logits, `[..., E]`, and the mask are those of `spread_edges`; no row of
  the mask is empty. The rows of the adjacency, `[..., J, J]`, sum to one and
  vanish off the mask.
  """
  logits = spread_edges(edge_logits, mask)
  return jax.nn.softmax(jnp.where(mask, logits, -jnp.inf))


def spread_edges(values: Array, mask: np.ndarray) -> Array:
  """Spreads the values of edges, `[..., E]`, to an adjacency, `[..., J, J]`.

  The edges are the nonzeros of `mask`, `[J, J]` bool, row by row. Off the mask
  the result is arbitrary, and no gradient comes from there.
  """
  rows, columns = np.nonzero(mask)
  edges = np.cumsum(mask).reshape(mask.shape) - 1

  @jax.custom_vjp
  def spread(values):
    return values[..., edges]

  # Autodiff would scatter the gradient; this picks it.
  spread.defvjp(
    lambda values: (spread(values), None),
    lambda _, dvalues: (dvalues[..., rows, columns],),
  )
  return spread(values)


@jax.jit
def semantic_graph_conv(
  x: Array, kernel: Array, adjacency: Array, bias: Array
) -> Array:
  """Computes (A * I) X W0 + (A * (1 - I)) X W1 + b (paper eq. 9 with 2 or 3).

  `[J, ..., C]`, `[2, C, D]`, `[J, J]`, `[D]` -> `[J, ..., D]`; the adjacency
  can also be channel-wise, `[D, J, J]`.
  """
  if adjacency.ndim == 2:
    args = x, kernel, adjacency, bias
    return by_gpu_kernel('convolution', _convolve_and_add, *args)
  parts = split_adjacency(adjacency.astype(x.dtype))
  itself, neighbors = (
    jnp.einsum('dij,j...d->i...d', parts[:, k], linear(x, kernel[k]))
    for k in range(2)
  )
  return itself + neighbors + bias.astype(x.dtype)


def split_adjacency(adjacency: Array, axis: int = -3) -> Array:
  """Splits `[..., J, J]` into A * I and A * (1 - I), stacked along an axis."""
  eye = np.eye(adjacency.shape[-1], dtype=adjacency.dtype)
  return jnp.expand_dims(adjacency, axis) * np.stack([eye, 1 - eye], axis)


def _convolve_and_add(x, kernel, adjacency, bias):
  """Computes `semantic_graph_conv` by operations of XLA."""
  return _convolve(x, kernel, adjacency) + bias.astype(x.dtype)


@jax.custom_vjp
def _convolve(x, kernel, adjacency):
  """Convolves by products alone: `[J, ..., C]` -> `[J, ..., D]`."""
  # The joints are mixed where there are fewer channels.
  if x.shape[-1] < kernel.shape[-1]:
    mixed = _mix_each(adjacency, x)
    y = jnp.einsum('krc,kcd->rd', mixed, kernel.astype(x.dtype))
    return y.reshape(*x.shape[:-1], -1)
  side_by_side = split_adjacency(adjacency, axis=-2).reshape(len(x), -1)
  return mix(side_by_side, _linear_each(x, kernel))


def _differentiate(residuals, dy):
  """Differentiates `_convolve` by its arguments.

  The gradient by x is the convolution of dy with all matrices transposed, in
  which x and dy change places. So of the two the one with fewer channels is
  mixed.
  """
  x, kernel, adjacency = residuals
  transposed = kernel.swapaxes(1, 2)
  dx = _convolve(dy, transposed, adjacency.T)
  if x.shape[-1] <= dy.shape[-1]:
    return dx, *_derivatives(x, transposed, adjacency, dy)
  dkernel, dadjacency = _derivatives(dy, kernel, adjacency.T, x)
  return dx, dkernel.swapaxes(1, 2), dadjacency.T


_convolve.defvjp(lambda *args: (_convolve(*args), args), _differentiate)


def _derivatives(x, transposed, adjacency, dy):
  """Differentiates by the kernel, `[2, C, D]`, and the adjacency, `[J, J]`.

  The kernel is given transposed, `[2, D, C]`.
  """
  dkernel = jnp.einsum(
    'krc,krd->kcd',
    _mix_each(adjacency, x),
    _twice(dy),
    preferred_element_type=wide_type(x),
  )
  dots = _dot_joints(_linear_each(dy, transposed), x)
  of_itself, of_neighbors = dots.reshape(2, *adjacency.shape)
  dadjacency = jnp.where(np.eye(len(x), dtype=bool), of_itself, of_neighbors)
  return dkernel.astype(transposed.dtype), dadjacency


def _mix_each(adjacency: Array, x: Array) -> Array:
  """Mixes by A * I and by A * (1 - I): `[J, ..., C]` -> `[2, R, C]`."""
  mixed = mix(split_adjacency(adjacency).reshape(-1, len(x)), x)
  return mixed.reshape(2, -1, x.shape[-1])


def _linear_each(x: Array, kernel: Array) -> Array:
  """Maps the channels by two matrices: `[J, ..., C]` -> `[2 J, ..., D]`."""
  # As a batch, the products are written one after the other. A single product
  # would interleave them, and taking them apart would be a copy.
  y = jnp.einsum('krc,kcd->krd', _twice(x), kernel.astype(x.dtype))
  return y.reshape(-1, *x.shape[1:-1], y.shape[-1])


def _twice(x: Array) -> Array:
  """Repeats the rows: `[..., C]` -> `[2, R, C]`."""
  rows = x.reshape(-1, x.shape[-1])
  return jnp.broadcast_to(rows, (2, *rows.shape))


@jax.jit
def partition_graph_conv(x: Array, kernels: Array, adjacencies: Array) -> Array:
  """Sums the graph convolutions over K parts of the neighborhood.

  This is the spatial half of ST-GCN's unit (arXiv:1801.07455, section 3.6):
  `[J, ..., C]`, `[K, C, D]`, `[K, J, J]` -> `[J, ..., D]`.
  """
  convolved = (
    graph_conv(x, kernel, adjacency)
    for kernel, adjacency in zip(kernels, adjacencies, strict=True)
  )
  return cast(Array, sum(convolved))


def neighbor_softmax(logits: Array, mask: np.ndarray) -> Array:
  """Applies a softmax over the neighbors of each joint in each pose.

  The logits and weights are `[J, J, ...]`, with the neighbors second. `mask`,
  `[J, J]` bool, marks them; weights off it are zero.
  """
  alone = ~mask.any(axis=1, keepdims=True)
  mask, alone = (
    array.reshape(*array.shape, *[1] * (logits.ndim - 2))
    for array in (mask, alone)
  )
  wide = logits.astype(wide_type(logits))
  weights = jax.nn.softmax(jnp.where(mask | alone, wide, -jnp.inf), axis=1)
  if alone.any():
    weights = jnp.where(mask, weights, 0)
  return weights.astype(logits.dtype)


class NonLocalWeights(NamedTuple):
  """The weights of a non-local layer, with its linear maps put together.

  Attributes:
    kernel: The kernels of phi and g, side by side, `[C, 2 H]`.
    w_theta: The kernel of theta times the first half of w, `[C]`: as w . theta
      is linear in the nodes, one column is enough.
    w_phi: The second half of w, `[H]`. Its product with phi is the other part
      of the affinity.
    bias: The bias that theta and phi give all affinities, `[]`.
    bias_g: The bias of g, `[H]`.
    out: The kernel that maps the sums over nodes, `[H, D]`.
    bias_out: The bias of the result, `[D]`.
  """

  kernel: Array
  w_theta: Array
  w_phi: Array
  bias: Array
  bias_g: Array
  out: Array
  bias_out: Array


@functools.partial(jax.jit, static_argnames='groups')
def non_local(
  x: Array, weights: NonLocalWeights, groups: tuple[tuple[int, ...], ...]
) -> Array:
  """Computes the non-local responses (paper eq. 4 and 10, section A.3).

  `[J, ..., C]` -> `[J, ..., D]`; the groups of nodes, if any, are max-pooled.
  """
  return by_gpu_kernel('non_local', _non_local, x, weights, groups=groups)


def _non_local(x, weights, groups):
  """Computes `non_local` by operations of XLA."""
  kernel, w_theta, w_phi, bias, bias_g, out, bias_out = weights
  # One product computes all. Zeros pad its columns to a multiple of 8, for
  # matrix units.
  columns = jnp.concatenate([kernel, w_theta[:, None]], axis=1)
  columns = jnp.pad(columns, ((0, 0), (0, -columns.shape[1] % 8)))
  ends = (len(w_phi), 2 * len(w_phi), 2 * len(w_phi) + 1)
  of_phi, of_g, of_theta, _ = jnp.split(linear(x, columns), ends, axis=-1)
  phi, g = (group_max(z, groups) for z in (of_phi, of_g))
  # A bias commutes with the maximum, so it is added after pooling.
  affinity = non_local_affinity(
    of_theta[..., 0] + bias, jnp.sum(phi * w_phi, axis=-1)
  )
  y = linear(attend(affinity, g + bias_g.astype(x.dtype)), out)
  return y + bias_out.astype(x.dtype)


@jax.jit
def non_local_affinity(theta: Array, phi: Array) -> Array:
  """Computes f_ij = ReLU(w . [theta_i, phi_j]) / N (paper eq. 10 and 4).

  Args:
    theta: The first half of w times theta, `[J, ...]`.
    phi: The second half of w times phi of the N pooled nodes, `[N, ...]`.

  Returns:
    The affinities, `[J, N, ...]`.
  """
  return nn.relu(theta[:, None] + phi[None]) / len(phi)


@jax.custom_vjp
def attend(affinity: Array, nodes: Array) -> Array:
  """Sums the nodes, weighted by their affinity to each joint (paper eq. 4).

  `[J, N, ...]`, `[N, ..., C]` -> `[J, ..., C]`.
  """
  # Each pose is a small product. On a GPU, the transpositions that matrix units
  # need would cost more than they save.
  return jax.lax.platform_dependent(
    affinity.astype(nodes.dtype),
    nodes,
    cpu=lambda a, x: jnp.einsum('jn...,n...c->j...c', a, x),
    default=lambda a, x: jnp.sum(a[..., None] * x[None], axis=1),
  )


def _attend_bwd(
  residuals: tuple[Array, Array], dy: Array
) -> tuple[Array, Array]:
  affinity, nodes = residuals
  daffinity = jax.lax.platform_dependent(
    dy,
    nodes,
    cpu=lambda dy, x: jnp.einsum('j...c,n...c->jn...', dy, x),
    default=lambda dy, x: jnp.sum(dy[:, None] * x[None], axis=-1),
  )
  dnodes = attend(affinity.swapaxes(0, 1), dy)
  return daffinity.astype(affinity.dtype), dnodes


attend.defvjp(lambda *args: (attend(*args), args), _attend_bwd)


def group_max(x: Array, groups: tuple[tuple[int, ...], ...]) -> Array:
  """Takes the maximum over each group of joints; without groups, returns x.

  Args:
    x: The nodes, `[J, ...]`.
    groups: N groups of any sizes; every joint is in exactly one.

  Returns:
    The pooled nodes, `[N, ...]`.
  """
  if not groups:
    return x
  size = max(map(len, groups))
  # A shorter group repeats its first joint, which does not change its maximum.
  members = np.array([g + g[:1] * (size - len(g)) for g in groups]).T
  flat = members.ravel().tolist()
  place = np.array([flat.index(joint) for joint in range(len(x))])

  @jax.custom_vjp
  def pool(x):
    return functools.reduce(jnp.maximum, [x[row] for row in members])

  def pool_vjp(x, dy):
    """Passes the gradient to the first maximum, like PyTorch."""
    highest, grads = pool(x), []
    for row in members:
      won = x[row] == highest
      grads.append(jnp.where(won, dy, 0))
      dy = jnp.where(won, 0, dy)
    return (jnp.concatenate(grads)[place],)

  pool.defvjp(lambda x: (pool(x), x), pool_vjp)
  return pool(x)


@functools.partial(
  jax.jit, static_argnames=('parts', 'epsilon', 'relu', 'axis_name')
)
def batch_normalize(
  x: Array,
  scale: Array,
  bias: Array,
  residual: Array | None = None,
  *,
  parts: int = 1,
  epsilon: float,
  relu: bool,
  axis_name: str | None,
) -> tuple[Array, Array, Array]:
  """Normalises by the statistics of the batch, or of each part of it.

  Args:
    x: The activations, `[..., B, C]`.
    scale: The scale of each channel, `[C]`.
    bias: The bias of each channel, `[C]`.
    residual: What to add to the result, `[..., B, C]`; None for nothing.
    parts: How many parts of the B poses have statistics of their own.
    epsilon: A small number added to the variance.
    relu: Whether a ReLU follows, before the addition.
    axis_name: The pmap axis over which the batch is sharded; None outside pmap.

  Returns:
    The normalized activations, `[..., B, C]`; and the mean and biased variance
    of each channel in each part, `[parts, C]`, without gradients.
  """
  args = x, scale, bias, residual
  fields = {'parts': parts, 'epsilon': epsilon, 'relu': relu}
  fields |= {'axis_name': axis_name}
  return by_gpu_kernel('norm', _batch_normalize, *args, **fields)


def _batch_normalize(x, scale, bias, residual, parts, epsilon, relu, axis_name):
  """Computes `batch_normalize` by operations of XLA."""

  def normalize(x) -> Any:
    return _normalize(x, scale, bias, epsilon, relu, axis_name)

  if parts == 1:
    y, mean, var = normalize(x)
    mean, var = mean[None], var[None]
  else:
    split = x.reshape(*x.shape[:-2], parts, -1, x.shape[-1])
    y, mean, var = jax.vmap(normalize, -3, (-3, 0, 0))(split)
    y = y.reshape(x.shape)
  return (y if residual is None else residual + y), mean, var


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _normalize(x, scale, bias, epsilon, relu, axis_name):
  return _normalize_fwd(x, scale, bias, epsilon, relu, axis_name)[0]


def _normalize_fwd(x, scale, bias, epsilon, relu, axis_name):
  mean, var = _mean_and_variance(x, axis_name)
  deviation = jax.lax.rsqrt(var + epsilon)
  y = (x.astype(wide_type(x)) - mean) * (deviation * scale) + bias
  y = (nn.relu(y) if relu else y).astype(x.dtype)
  return (y, mean, var), (x, scale, bias, mean, deviation)


def _normalize_bwd(epsilon, relu, axis_name, residuals, cotangents):
  del epsilon
  x, scale, bias, mean, deviation = residuals
  dy = cotangents[0].astype(wide_type(x))
  normalized = (x.astype(wide_type(x)) - mean) * deviation
  if relu:
    dy = jnp.where(normalized * scale + bias > 0, dy, 0)
  local = _mean_over_rows(dy, dy * normalized)
  first, second = local
  if axis_name is not None:
    first, second = jax.lax.pmean(local, axis_name)
  dx = (scale * deviation) * (dy - first - normalized * second)
  count = x.size // x.shape[-1]
  dbias, dscale = (count * total for total in local)
  return dx.astype(x.dtype), dscale, dbias


_normalize.defvjp(_normalize_fwd, _normalize_bwd)


def _mean_and_variance(x: Array, axis_name: str | None) -> tuple[Array, Array]:
  """Computes the mean and the biased variance, `[C]`, in one pass over x."""
  x = x.astype(wide_type(x))
  # Any element is closer to the mean than zero may be. Subtracting one avoids
  # cancellation in the variance, unless it is an outlier among millions.
  center = x.reshape(-1, x.shape[-1])[0]
  mean, square = _mean_over_rows(x - center, jnp.square(x - center))
  var = jnp.maximum(square - jnp.square(mean), 0)
  mean = mean + center
  if axis_name is not None:
    # Every device fills its row of a sum: on GPUs XLA has a kernel for sums,
    # but none for all_gather.
    rows = jnp.arange(jax.lax.axis_size(axis_name))[:, None, None]
    own = rows == jax.lax.axis_index(axis_name)
    every = jnp.where(own, jnp.stack([mean, var]), 0)
    every = jax.lax.psum(every, axis_name)
    mean = every[:, 0].mean(axis=0)
    var = (every[:, 1] + jnp.square(every[:, 0] - mean)).mean(axis=0)
  return mean, var


def _mean_over_rows(*arrays: Array) -> Array:
  """Averages over all dimensions but the last: n of `[..., C]` -> `[n, C]`."""
  rows, ndim = arrays[0].size // arrays[0].shape[-1], arrays[0].ndim
  # Joints first: one sum over all rows would leave most of a GPU idle.
  steps = [(0,), tuple(range(ndim - 2))] if ndim > 2 else [(0,)]
  for axes in steps:
    # Together, so that one kernel reads what the arrays are computed from.
    arrays = jax.lax.reduce(
      arrays,
      (np.zeros((), arrays[0].dtype),) * len(arrays),
      lambda x, y: tuple(a + b for a, b in zip(x, y, strict=True)),
      axes,
    )
  return jnp.stack(arrays) / rows
