"""Layers of SemGCN as linen modules over pure, jitted functions.

Notation: J joints, C input channels, D output channels. The joints come first,
`[J, ..., C]`: to mix them is one matrix product over all that follows, and to
map the channels is one over all that precedes, so nothing is ever transposed.
Where autodiff would transpose, the gradient is written out, for reverse mode.

Parameters, statistics and what is summed over a batch are float32; activations
have the type of the layer's input.
"""

import functools
from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.graph import adjacency_mask, normalized_adjacency
from semgcn_jax.skeleton import Skeleton

Array = jax.Array
Initializer = nn.initializers.Initializer

# torch.nn.init.kaiming_normal_; linen's he_normal truncates the normal.
kaiming_normal = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


def uniform(bound: float) -> Initializer:
  """Uniform in [-bound, bound]."""

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


@jax.custom_vjp
def linear(x: Array, kernel: Array) -> Array:
  """Maps the channels, X W.

  Args:
    x: `[..., C]`.
    kernel: `[C, D]`.

  Returns:
    `[..., D]`.
  """
  return x @ kernel.astype(x.dtype)


def _linear_bwd(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, ...]:
  x, kernel = residuals
  x, rows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
  dkernel = jnp.einsum('rc,rd->cd', x, rows, preferred_element_type=_wide(x))
  return dy @ kernel.astype(dy.dtype).T, dkernel.astype(kernel.dtype)


def _wide(x: Array) -> Any:
  """The type for sums over a batch: float32, or that of x if wider."""
  return jnp.promote_types(x.dtype, jnp.float32)


linear.defvjp(lambda *args: (linear(*args), args), _linear_bwd)


@jax.custom_vjp
def mix(adjacency: Array, x: Array) -> Array:
  """Mixes the joints, A X.

  Args:
    adjacency: `[J, J]`.
    x: `[J, ..., C]`.

  Returns:
    `[J, ..., C]`.
  """
  # Of two matrices, so that no compiler thinks of transposing x.
  mixed = adjacency.astype(x.dtype) @ x.reshape(len(x), -1)
  return mixed.reshape(-1, *x.shape[1:])


def _mix_bwd(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
  adjacency, x = residuals
  return _dot_joints(dy, x), mix(adjacency.T, dy)


mix.defvjp(lambda *args: (mix(*args), args), _mix_bwd)


def _dot_joints(x: Array, y: Array) -> Array:
  """Every joint of `[J, ...]` times every one of `[J, ...]`: `[J, J]`."""
  x, y = (z.reshape(len(z), -1) for z in (x, y))
  return jnp.einsum('ir,jr->ij', x, y, preferred_element_type=_wide(x))


@jax.jit
def graph_conv(x: Array, kernel: Array, adjacency: Array) -> Array:
  """Graph convolution A X W (paper eq. 1).

  Args:
    x: `[J, ..., C]`.
    kernel: `[C, D]`.
    adjacency: `[J, J]`.

  Returns:
    `[J, ..., D]`.
  """
  if x.shape[-1] < kernel.shape[-1]:  # Mixes where there are fewer channels.
    return linear(mix(adjacency, x), kernel)
  return mix(adjacency, linear(x, kernel))


def semantic_adjacency(edge_logits: Array, mask: np.ndarray) -> Array:
  """Softmax over each row of the masked logits (paper eq. 2 and 3).

  Args:
    edge_logits: `[..., E]`, one per nonzero of `mask`, row-major.
    mask: `[J, J]` bool, no empty row.

  Returns:
    `[..., J, J]`; rows sum to one and vanish off the mask.
  """
  rows, columns = np.nonzero(mask)
  edges = np.cumsum(mask).reshape(mask.shape) - 1  # Any, off the mask.

  @jax.custom_vjp
  def spread(edge_logits):
    return edge_logits[..., edges]

  # Autodiff would scatter.
  spread.defvjp(
    lambda edge_logits: (spread(edge_logits), None),
    lambda _, dlogits: (dlogits[..., rows, columns],),
  )
  return jax.nn.softmax(jnp.where(mask, spread(edge_logits), -jnp.inf))


@jax.jit
def semantic_graph_conv(x: Array, kernel: Array, adjacency: Array) -> Array:
  """(A * I) X W0 + (A * (1 - I)) X W1 (paper eq. 9 with eq. 2 or 3).

  Args:
    x: `[J, ..., C]`.
    kernel: `[2, C, D]`, for the node itself and for its neighbours.
    adjacency: `[J, J]` for all channels, or channel-wise `[D, J, J]`.

  Returns:
    `[J, ..., D]`.
  """
  if adjacency.ndim == 2:
    return _semantic_graph_conv(x, kernel, adjacency)
  eye = jnp.eye(len(x), dtype=x.dtype)
  adjacency = adjacency.astype(x.dtype)
  itself, neighbours = linear(x, kernel[0]), linear(x, kernel[1])
  subscripts = 'dij,j...d->i...d'
  return jnp.einsum(subscripts, adjacency * eye, itself) + jnp.einsum(
    subscripts, adjacency * (1 - eye), neighbours
  )


@jax.custom_vjp
def _semantic_graph_conv(x: Array, kernel: Array, adjacency: Array) -> Array:
  return _semantic_graph_conv_fwd(x, kernel, adjacency)[0]


def _semantic_graph_conv_fwd(x, kernel, adjacency):
  itself, neighbours = (linear(x, matrix) for matrix in kernel)
  y = _diagonal(adjacency, x) * itself
  y = y + mix(_off_diagonal(adjacency), neighbours)
  return y, (x, kernel, adjacency, itself, neighbours)


def _semantic_graph_conv_bwd(residuals, dy):
  x, kernel, adjacency, itself, neighbours = residuals
  dx0, dkernel0 = _linear_bwd((x, kernel[0]), _diagonal(adjacency, x) * dy)
  dx1, dkernel1 = _linear_bwd(
    (x, kernel[1]), mix(_off_diagonal(adjacency).T, dy)
  )
  # In two steps, which keep a GPU busier than one.
  diagonal = jnp.sum((dy * itself).astype(_wide(x)), axis=-1)
  diagonal = diagonal.reshape(len(x), -1).sum(axis=1)
  dadjacency = _off_diagonal(_dot_joints(dy, neighbours)) + jnp.diag(diagonal)
  return dx0 + dx1, jnp.stack([dkernel0, dkernel1]), dadjacency


_semantic_graph_conv.defvjp(_semantic_graph_conv_fwd, _semantic_graph_conv_bwd)


def _off_diagonal(adjacency: Array) -> Array:
  return adjacency * (1 - np.eye(len(adjacency), dtype=np.float32))


def _diagonal(adjacency: Array, like: Array) -> Array:
  """`[J, J]` -> `[J, 1, ..., 1]`, as many dimensions as `like`, of its type."""
  eye = np.eye(len(adjacency), dtype=np.float32)
  diagonal = jnp.sum(adjacency * eye, axis=1)  # jnp.diagonal gathers.
  return diagonal.reshape(-1, *[1] * (like.ndim - 1)).astype(like.dtype)


@jax.jit
def non_local_affinity(theta: Array, phi: Array) -> Array:
  """f_ij = ReLU(w . [theta_i, phi_j]) / N (paper eq. 10 and 4).

  Args:
    theta: `[J, ...]`, the first half of w times theta.
    phi: `[N, ...]`, its second half times phi of the pooled nodes.

  Returns:
    `[J, N, ...]`.
  """
  return nn.relu(theta[:, None] + phi[None]) / len(phi)


@jax.custom_vjp
def attend(affinity: Array, nodes: Array) -> Array:
  """Sums the nodes, weighted by their affinity to each joint (paper eq. 4).

  Args:
    affinity: `[J, N, ...]`.
    nodes: `[N, ..., C]`.

  Returns:
    `[J, ..., C]`.
  """
  # Each pose has a small product of its own. A GPU is faster without a matrix
  # unit than with the transpositions this would take.
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
  """Max over the joints of each group; without groups, x as it is.

  Args:
    x: `[J, ...]`.
    groups: joints of each group, of any sizes; every joint is in one.

  Returns:
    `[N, ...]`, N groups.
  """
  if not groups:
    return x
  size = max(map(len, groups))
  # A shorter group repeats its first joint, which leaves the max as it is.
  members = np.array([g + g[:1] * (size - len(g)) for g in groups]).T
  flat = members.ravel().tolist()
  place = np.array([flat.index(joint) for joint in range(len(x))])

  @jax.custom_vjp
  def pool(x):
    return functools.reduce(jnp.maximum, [x[row] for row in members])

  def pool_vjp(x, dy):
    """The first of the highest gets the gradient, as in PyTorch."""
    highest, grads = pool(x), []
    for row in members:
      won = x[row] == highest
      grads.append(jnp.where(won, dy, 0))
      dy = jnp.where(won, 0, dy)
    return (jnp.concatenate(grads)[place],)

  pool.defvjp(lambda x: (pool(x), x), pool_vjp)
  return pool(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def batch_normalize(
  x: Array,
  scale: Array,
  bias: Array,
  epsilon: float,
  relu: bool,
  axis_name: str | None,
) -> tuple[Array, Array, Array]:
  """Normalises by the statistics of the batch.

  Args:
    x: `[..., C]`.
    scale: `[C]`.
    bias: `[C]`.
    epsilon: added to the variance.
    relu: whether a ReLU follows.
    axis_name: pmap axis over which the batch is spread.

  Returns:
    The normalised `[..., C]`; the mean and the biased variance, `[C]`, which
    have no gradient.
  """
  fields = (epsilon, relu, axis_name)
  return _batch_normalize_fwd(x, scale, bias, *fields)[0]


def _batch_normalize_fwd(x, scale, bias, epsilon, relu, axis_name):
  mean, var = _mean_and_variance(x, axis_name)
  deviation = jax.lax.rsqrt(var + epsilon)
  y = (x.astype(_wide(x)) - mean) * (deviation * scale) + bias
  y = (nn.relu(y) if relu else y).astype(x.dtype)
  return (y, mean, var), (x, scale, bias, mean, deviation)


def _batch_normalize_bwd(epsilon, relu, axis_name, residuals, cotangents):
  del epsilon
  x, scale, bias, mean, deviation = residuals
  dy = cotangents[0].astype(_wide(x))
  normalized = (x.astype(_wide(x)) - mean) * deviation
  if relu:
    dy = jnp.where(normalized * scale + bias > 0, dy, 0)
  local = _mean_over_rows(dy), _mean_over_rows(dy * normalized)
  first, second = local
  if axis_name is not None:
    first, second = jax.lax.pmean(jnp.stack(local), axis_name)
  dx = (scale * deviation) * (dy - first - normalized * second)
  count = x.size // x.shape[-1]
  dbias, dscale = (count * total for total in local)
  return dx.astype(x.dtype), dscale, dbias


batch_normalize.defvjp(_batch_normalize_fwd, _batch_normalize_bwd)


def _mean_and_variance(x: Array, axis_name: str | None) -> tuple[Array, Array]:
  """Of `[..., C]`, biased: `[C]`; in one pass over x."""
  x = x.astype(_wide(x))
  # Any element is closer to the mean than zero may be: little cancels, unless
  # it is an outlier among millions.
  center = x.reshape(-1, x.shape[-1])[0]
  mean = _mean_over_rows(x - center)
  var = _mean_over_rows(jnp.square(x - center)) - jnp.square(mean)
  var = jnp.maximum(var, 0)
  mean = mean + center
  if axis_name is not None:
    every = jax.lax.all_gather(jnp.stack([mean, var]), axis_name)
    mean = every[:, 0].mean(axis=0)
    var = (every[:, 1] + jnp.square(every[:, 0] - mean)).mean(axis=0)
  return mean, var


def _mean_over_rows(x: Array) -> Array:
  """`[..., C]` -> `[C]`."""
  # The means of every joint first: one sum over all rows would leave most of a
  # GPU idle.
  means = jnp.mean(x, axis=tuple(range(1, x.ndim - 1))) if x.ndim > 2 else x
  return jnp.mean(means, axis=0)


class GraphConv(nn.Module):
  """Vanilla graph convolution with bias (paper eq. 1).

  Attributes:
    features: D.
    skeleton: gives the symmetrically normalised adjacency.
    train_bias: False where a batch norm follows; see `Linear`.
  """

  features: int
  skeleton: Skeleton
  train_bias: bool = True

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """`[J, ..., C]` -> `[J, ..., D]`."""
    chex.assert_axis_dimension(x, 0, self.skeleton.num_joints)
    # Xavier-uniform with the released gain of 1.414.
    init = nn.initializers.variance_scaling(1.414**2, 'fan_avg', 'uniform')
    kernel = self.param('kernel', init, (x.shape[-1], self.features))
    bias = self.param('bias', uniform(self.features**-0.5), (self.features,))
    x = graph_conv(x, kernel, jnp.asarray(normalized_adjacency(self.skeleton)))
    return _add_bias(x, bias, self.train_bias)


class SemGraphConv(nn.Module):
  """Semantic graph convolution (paper eq. 2 and 9), or channel-wise (eq. 3).

  Attributes:
    features: D.
    skeleton: gives the mask.
    channel_wise: one adjacency per output channel.
    train_bias: False where a batch norm follows; see `Linear`.
  """

  features: int
  skeleton: Skeleton
  channel_wise: bool = False
  train_bias: bool = True

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """`[J, ..., C]` -> `[J, ..., D]`."""
    chex.assert_axis_dimension(x, 0, self.skeleton.num_joints)
    channels, features = x.shape[-1], self.features
    mask = adjacency_mask(self.skeleton)
    # The released code initialises one [2, C, D] tensor, for which PyTorch
    # takes the fans C * D and 2 * D; hence these small weights.
    fans = channels * features + 2 * features
    kernel = self.param(
      'kernel', uniform(1.414 * (6 / fans) ** 0.5), (2, channels, features)
    )
    edges = (features, mask.sum()) if self.channel_wise else (mask.sum(),)
    edge_logits = self.param('edge_logits', nn.initializers.ones, edges)
    fan = channels if self.channel_wise else features
    bias = self.param('bias', uniform(fan**-0.5), (features,))
    x = semantic_graph_conv(x, kernel, semantic_adjacency(edge_logits, mask))
    return _add_bias(x, bias, self.train_bias)


class Linear(nn.Module):
  """Linear map of the channels with bias.

  Attributes:
    features: D.
    train_bias: False where a batch norm follows. It subtracts the bias again,
      so the bias has no effect and its exact gradient is zero; what arithmetic
      leaves of it is rounding noise, which Adam would turn into full steps.
    bias_init: initial bias.
  """

  features: int
  train_bias: bool = True
  bias_init: Initializer = nn.initializers.zeros

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """`[..., C]` -> `[..., D]`."""
    kernel = self.param('kernel', kaiming_normal, (x.shape[-1], self.features))
    bias = self.param('bias', self.bias_init, (self.features,))
    return _add_bias(linear(x, kernel), bias, self.train_bias)


def _add_bias(x: Array, bias: Array, train_bias: bool) -> Array:
  bias = bias if train_bias else jax.lax.stop_gradient(bias)
  return x + bias.astype(x.dtype)


class BatchNorm(nn.Module):
  """Batch norm over all dimensions but the last, with PyTorch's statistics.

  linen's own keeps the biased running variance; PyTorch, and so every published
  checkpoint, the unbiased one.

  Attributes:
    axis_name: pmap axis over which training statistics are shared, so that N
      devices equal one at the same global batch.
    poses: that are normalised together in training, about; 0: all. A device
      that has at least so many cuts its share of a larger batch into such
      parts and shares no statistics (ghost batch norm, arXiv:1705.08741);
      with fewer on each device, it is all of the batch.
    momentum: share of the old running statistics.
    epsilon: added to the variance.
    scale_init: initial scale.
    relu: whether a ReLU follows.
  """

  axis_name: str | None = None
  poses: int = 0
  momentum: float = 0.9
  epsilon: float = 1e-5
  scale_init: Initializer = nn.initializers.ones
  relu: bool = False

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """`[..., B, C]` -> `[..., B, C]`."""
    features = x.shape[-1:]
    scale = self.param('scale', self.scale_init, features)
    bias = self.param('bias', nn.initializers.zeros, features)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, features)
    running_var = self.variable('batch_stats', 'var', jnp.ones, features)
    if not train:
      factor = scale * jax.lax.rsqrt(running_var.value + self.epsilon)
      y = (x.astype(_wide(x)) - running_mean.value) * factor + bias
      return (nn.relu(y) if self.relu else y).astype(x.dtype)
    axis_name = None if self.is_initializing() else self.axis_name
    devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    count = x.size // x.shape[-1]

    def normalize(x, axis_name=None):
      return batch_normalize(x, scale, bias, self.epsilon, self.relu, axis_name)

    share = x.shape[-2]
    if 0 < self.poses <= share and self.poses < devices * share:
      most = share // self.poses
      parts = next(n for n in range(most, 0, -1) if share % n == 0)
      split = x.reshape(*x.shape[:-2], parts, -1, x.shape[-1])
      y, means, variances = jax.vmap(normalize, -3, (-3, 0, 0))(split)
      y = y.reshape(x.shape)
      mean, var = means.mean(axis=0), variances.mean(axis=0)
      count //= parts
      if axis_name is not None:
        mean, var = jax.lax.pmean(jnp.stack([mean, var]), axis_name)
    else:
      y, mean, var = normalize(x, axis_name)
      count *= devices
    if not self.is_initializing():
      self._update(running_mean, mean)
      self._update(running_var, var * (count / max(count - 1, 1)))
    return y

  def _update(self, running: Any, value: Array) -> None:
    running.value = self.momentum * running.value + (1 - self.momentum) * value


class NonLocal(nn.Module):
  """Non-local layer over the joints (paper eq. 4 and 10, section A.3).

  Attributes:
    skeleton: its groups are max-pooled; without groups every joint is kept.
    norm: makes the batch norm.
  """

  skeleton: Skeleton
  norm: Callable[..., nn.Module] = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """`[J, ..., C]` -> `[J, ..., C]`; the identity when freshly initialised."""
    channels = x.shape[-1]
    inner = max(channels // 2, 1)
    theta, phi, g = (
      _Weights(inner, name=name)(channels) for name in ('theta', 'phi', 'g')
    )
    weight = self.param('affinity', _affinity_init, (2 * inner,))
    weight_theta, weight_phi = jnp.split(weight, 2)
    # One product for all. w . theta is linear in x, so it is a column where
    # theta would be a matrix; zeros fill up to what a matrix unit takes.
    column = (theta['kernel'] @ weight_theta)[:, None]
    kernel = jnp.concatenate([phi['kernel'], g['kernel'], column], axis=1)
    kernel = jnp.pad(kernel, ((0, 0), (0, -kernel.shape[1] % 8)))
    ends = (inner, 2 * inner, 2 * inner + 1)
    of_phi, of_g, of_theta, _ = jnp.split(linear(x, kernel), ends, axis=-1)
    pooled_phi, pooled_g = (
      group_max(z, self.skeleton.groups) for z in (of_phi, of_g)
    )
    # A bias commutes with the max.
    bias = theta['bias'] @ weight_theta + phi['bias'] @ weight_phi
    affinity = non_local_affinity(
      of_theta[..., 0] + bias, jnp.sum(pooled_phi * weight_phi, axis=-1)
    )
    y = attend(affinity, pooled_g + g['bias'].astype(x.dtype))
    y = Linear(channels, train_bias=False, name='out')(y)
    norm = self.norm(scale_init=nn.initializers.zeros, name='norm')
    return x + norm(y, train=train)


class _Weights(nn.Module):
  """The parameters of `Linear`."""

  features: int

  @nn.compact
  def __call__(self, channels: int) -> dict[str, Array]:
    """`[C, D]` and `[D]`."""
    kernel = self.param('kernel', kaiming_normal, (channels, self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return {'kernel': kernel, 'bias': bias}


def _affinity_init(key: Array, shape: tuple[int]) -> Array:
  """Kaiming-normal over the concatenated channels."""
  return kaiming_normal(key, (*shape, 1))[:, 0]


class GraphConvBlock(nn.Module):
  """Convolution, batch norm, ReLU, dropout.

  Attributes:
    conv: makes the graph convolution, given features, train_bias and name.
    features: D.
    norm: makes the batch norm, given relu and name.
    dropout: rate; 0 switches it off.
  """

  conv: Callable[..., nn.Module]
  features: int
  norm: Callable[..., nn.Module] = BatchNorm
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """`[J, ..., C]` -> `[J, ..., D]`."""
    x = self.conv(self.features, train_bias=False, name='conv')(x)
    x = self.norm(relu=True, name='norm')(x, train=train)
    return nn.Dropout(self.dropout, deterministic=not train)(x)


class ResidualBlock(nn.Module):
  """x + block(block(x)), nothing after the sum; fields of `GraphConvBlock`."""

  conv: Callable[..., nn.Module]
  features: int
  norm: Callable[..., nn.Module] = BatchNorm
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """`[J, ..., D]` -> `[J, ..., D]`."""
    fields = (self.conv, self.features, self.norm, self.dropout)
    residual = GraphConvBlock(*fields, name='block1')(x, train=train)
    residual = GraphConvBlock(*fields, name='block2')(residual, train=train)
    return x + residual
