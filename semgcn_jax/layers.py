"""Layers of SemGCN as linen modules over pure, jitted functions.

Notation: J joints, C input channels, D output channels. Every function takes
any number of leading dimensions, written `...`.
"""

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


@jax.jit
def graph_conv(x: Array, kernel: Array, adjacency: Array) -> Array:
  """Graph convolution A X W (paper eq. 1).

  Args:
    x: `[..., J, C]`.
    kernel: `[C, D]`.
    adjacency: `[J, J]`.

  Returns:
    `[..., J, D]`.
  """
  return jnp.einsum('ij,...jd->...id', adjacency, x @ kernel)


def semantic_adjacency(edge_logits: Array, mask: np.ndarray) -> Array:
  """Softmax over each row of the masked logits (paper eq. 2 and 3).

  Args:
    edge_logits: `[..., E]`, one per nonzero of `mask`, row-major.
    mask: `[J, J]` bool, no empty row.

  Returns:
    `[..., J, J]`; rows sum to one and vanish off the mask.
  """
  rows, columns = np.nonzero(mask)
  logits = jnp.full((*edge_logits.shape[:-1], *mask.shape), -jnp.inf)
  logits = logits.astype(edge_logits.dtype)
  return jax.nn.softmax(logits.at[..., rows, columns].set(edge_logits))


@jax.jit
def semantic_graph_conv(x: Array, kernel: Array, adjacency: Array) -> Array:
  """(A * I) X W0 + (A * (1 - I)) X W1 (paper eq. 9 with eq. 2 or 3).

  Args:
    x: `[..., J, C]`.
    kernel: `[2, C, D]`, for the node itself and for its neighbours.
    adjacency: `[J, J]` for all channels, or channel-wise `[D, J, J]`.

  Returns:
    `[..., J, D]`.
  """
  itself = jnp.diagonal(adjacency, axis1=-2, axis2=-1)  # [J] or [D, J]
  itself = itself[:, None] if adjacency.ndim == 2 else itself.T
  neighbours = adjacency * (1 - jnp.eye(adjacency.shape[-1], dtype=x.dtype))
  mix = 'ij,...jd->...id' if adjacency.ndim == 2 else 'dij,...jd->...id'
  return itself * (x @ kernel[0]) + jnp.einsum(mix, neighbours, x @ kernel[1])


@jax.jit
def non_local_affinity(theta: Array, phi: Array, weight: Array) -> Array:
  """f_ij = ReLU(w . [theta_i, phi_j]) / N (paper eq. 10 and 4).

  Args:
    theta: `[..., J, C]`.
    phi: `[..., N, C]`, pooled nodes.
    weight: `[2 * C]`.

  Returns:
    `[..., J, N]`.
  """
  weight_theta, weight_phi = jnp.split(weight, 2)
  pairs = (theta @ weight_theta)[..., :, None]
  pairs = pairs + (phi @ weight_phi)[..., None, :]
  return nn.relu(pairs) / phi.shape[-2]


def group_max(x: Array, groups: tuple[tuple[int, ...], ...]) -> Array:
  """Max over the joints of each group; without groups, x as it is.

  Args:
    x: `[..., J, C]`.
    groups: joints of each group, of any sizes.

  Returns:
    `[..., N, C]`, N groups.
  """
  if not groups:
    return x
  size = max(map(len, groups))
  # A shorter group repeats its first joint, which leaves the max as it is.
  members = np.array([g + g[:1] * (size - len(g)) for g in groups])
  return x[..., members, :].max(axis=-2)


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
    """`[..., J, C]` -> `[..., J, D]`."""
    chex.assert_axis_dimension(x, -2, self.skeleton.num_joints)
    # Xavier-uniform with the released gain of 1.414.
    init = nn.initializers.variance_scaling(1.414**2, 'fan_avg', 'uniform')
    kernel = self.param('kernel', init, (x.shape[-1], self.features))
    bias = self.param('bias', uniform(self.features**-0.5), (self.features,))
    x = graph_conv(x, kernel, jnp.asarray(normalized_adjacency(self.skeleton)))
    return x + (bias if self.train_bias else jax.lax.stop_gradient(bias))


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
    """`[..., J, C]` -> `[..., J, D]`."""
    chex.assert_axis_dimension(x, -2, self.skeleton.num_joints)
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
    return x + (bias if self.train_bias else jax.lax.stop_gradient(bias))


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
    return x @ kernel + (
      bias if self.train_bias else jax.lax.stop_gradient(bias)
    )


class BatchNorm(nn.Module):
  """Batch norm over all dimensions but the last, with PyTorch's statistics.

  linen's own keeps the biased running variance; PyTorch, and so every published
  checkpoint, the unbiased one.

  Attributes:
    axis_name: pmap axis over which training statistics are shared, so that N
      devices equal one at the same global batch.
    momentum: share of the old running statistics.
    epsilon: added to the variance.
    scale_init: initial scale.
  """

  axis_name: str | None = None
  momentum: float = 0.9
  epsilon: float = 1e-5
  scale_init: Initializer = nn.initializers.ones

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """`[..., C]` -> `[..., C]`."""
    features = x.shape[-1:]
    scale = self.param('scale', self.scale_init, features)
    bias = self.param('bias', nn.initializers.zeros, features)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, features)
    running_var = self.variable('batch_stats', 'var', jnp.ones, features)
    if not train:
      mean, var = running_mean.value, running_var.value
    else:
      mean = self._mean_over_batch(x)
      var = self._mean_over_batch(jnp.square(x - mean))
      if not self.is_initializing():
        count = x.size // x.shape[-1]
        if self.axis_name is not None:
          count *= jax.lax.axis_size(self.axis_name)
        self._update(running_mean, mean)
        self._update(running_var, var * (count / max(count - 1, 1)))
    return (x - mean) * (jax.lax.rsqrt(var + self.epsilon) * scale) + bias

  def _mean_over_batch(self, x: Array) -> Array:
    mean = x.mean(axis=tuple(range(x.ndim - 1)))
    if self.axis_name is not None and not self.is_initializing():
      mean = jax.lax.pmean(mean, self.axis_name)
    return mean

  def _update(self, running: Any, value: Array) -> None:
    running.value = self.momentum * running.value + (1 - self.momentum) * value


class NonLocal(nn.Module):
  """Non-local layer over the joints (paper eq. 4 and 10, section A.3).

  Attributes:
    skeleton: its groups are max-pooled; without groups every joint is kept.
    axis_name: see `BatchNorm`.
  """

  skeleton: Skeleton
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """`[..., J, C]` -> `[..., J, C]`; the identity when freshly initialised."""
    channels = x.shape[-1]
    inner = max(channels // 2, 1)
    theta = Linear(inner, name='theta')(x)
    phi = group_max(Linear(inner, name='phi')(x), self.skeleton.groups)
    g = group_max(Linear(inner, name='g')(x), self.skeleton.groups)
    weight = self.param('affinity', _affinity_init, (2 * inner,))
    y = non_local_affinity(theta, phi, weight) @ g
    y = Linear(channels, train_bias=False, name='out')(y)
    norm = BatchNorm(
      self.axis_name, scale_init=nn.initializers.zeros, name='norm'
    )
    return x + norm(y, train=train)


def _affinity_init(key: Array, shape: tuple[int]) -> Array:
  """Kaiming-normal over the concatenated channels."""
  return kaiming_normal(key, (*shape, 1))[:, 0]


class GraphConvBlock(nn.Module):
  """Convolution, batch norm, ReLU, dropout.

  Attributes:
    conv: makes the graph convolution, given features, train_bias and name.
    features: D.
    axis_name: see `BatchNorm`.
    dropout: rate; 0 switches it off.
  """

  conv: Callable[..., nn.Module]
  features: int
  axis_name: str | None = None
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """`[..., J, C]` -> `[..., J, D]`."""
    x = self.conv(self.features, train_bias=False, name='conv')(x)
    x = nn.relu(BatchNorm(self.axis_name, name='norm')(x, train=train))
    return nn.Dropout(self.dropout, deterministic=not train)(x)


class ResidualBlock(nn.Module):
  """x + block(block(x)), nothing after the sum; fields of `GraphConvBlock`."""

  conv: Callable[..., nn.Module]
  features: int
  axis_name: str | None = None
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """`[..., J, D]` -> `[..., J, D]`."""
    fields = (self.conv, self.features, self.axis_name, self.dropout)
    residual = GraphConvBlock(*fields, name='block1')(x, train=train)
    residual = GraphConvBlock(*fields, name='block2')(residual, train=train)
    return x + residual
