"""Layers other than convolutions, as linen modules over functional.py.

For the notation and types see there.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.geometry.graphs import Nodes
from semgcn_jax.models.functional import (
  NonLocalWeights,
  batch_normalize,
  linear,
  non_local,
  wide_type,
)

Array = jax.Array
Initializer = nn.initializers.Initializer

# torch.nn.init.kaiming_normal_; linen's he_normal truncates the distribution.
kaiming_normal = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


def uniform(bound: float) -> Initializer:
  """Makes an initializer that is uniform in [-bound, bound]."""

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


class Linear(nn.Module):
  """A linear map of the channels, with a bias.

  Attributes:
    features: The number of output channels, D.
    train_bias: Whether the bias is trained; False where a batch norm follows,
      which subtracts it again. Its gradient is then zero up to rounding noise,
      which Adam would turn into full steps.
    bias_init: Makes the initial bias.
  """

  features: int
  train_bias: bool = True
  bias_init: Initializer = nn.initializers.zeros

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps the channels: `[..., C]` -> `[..., D]`."""
    kernel = self.param('kernel', kaiming_normal, (x.shape[-1], self.features))
    bias = self.param('bias', self.bias_init, (self.features,))
    bias = bias if self.train_bias else jax.lax.stop_gradient(bias)
    return linear(x, kernel) + bias.astype(x.dtype)


class BatchNorm(nn.Module):
  """A batch norm over all dimensions but the last, with PyTorch's statistics.

  linen's own batch norm keeps the biased running variance. PyTorch, and so
  every published checkpoint, keeps the unbiased one.

  Attributes:
    axis_name: The pmap axis over which training statistics are shared, so that
      N devices equal one at the same global batch; None shares none.
    poses: About how many poses to normalize together in training; 0 takes the
      whole batch. A device with at least this many splits its share of a larger
      batch into parts with statistics of their own (ghost batch norm,
      arXiv:1705.08741). If devices have fewer, the whole batch is normalized
      together.
    momentum: The weight of the old running statistics in the new ones.
    epsilon: A small number added to the variance.
    scale_init: Makes the initial scale.
    relu: Whether a ReLU follows.
  """

  axis_name: str | None = None
  poses: int = 0
  momentum: float = 0.9
  epsilon: float = 1e-5
  scale_init: Initializer = nn.initializers.ones
  relu: bool = False

  @nn.compact
  def __call__(
    self, x: Array, *, train: bool, residual: Array | None = None
  ) -> Array:
    """Normalises B poses, `[..., B, C]`, and adds the residual, if any."""
    features = x.shape[-1:]
    scale = self.param('scale', self.scale_init, features)
    bias = self.param('bias', nn.initializers.zeros, features)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, features)
    running_var = self.variable('batch_stats', 'var', jnp.ones, features)
    if not train:
      factor = scale * jax.lax.rsqrt(running_var.value + self.epsilon)
      y = (x.astype(wide_type(x)) - running_mean.value) * factor + bias
      y = (nn.relu(y) if self.relu else y).astype(x.dtype)
      return y if residual is None else residual + y
    axis_name = None if self.is_initializing() else self.axis_name
    devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    share, parts = x.shape[-2], 1
    ghost = 0 < self.poses <= share and self.poses < devices * share
    if ghost:
      most = share // self.poses
      parts = next(n for n in range(most, 0, -1) if share % n == 0)
    y, means, variances = batch_normalize(
      *(x, scale, bias, residual),
      parts=parts,
      epsilon=self.epsilon,
      relu=self.relu,
      axis_name=None if ghost else axis_name,
    )
    mean, var = means.mean(axis=0), variances.mean(axis=0)
    count = x.size // x.shape[-1] // parts
    if not ghost:
      count *= devices
    elif axis_name is not None:
      mean, var = jax.lax.pmean(jnp.stack([mean, var]), axis_name)
    if not self.is_initializing():
      self._update(running_mean, mean)
      self._update(running_var, var * (count / max(count - 1, 1)))
    return y

  def _update(self, running: Any, value: Array) -> None:
    running.value = self.momentum * running.value + (1 - self.momentum) * value


class NonLocal(nn.Module):
  """The non-local layer over the joints (paper eq. 4 and 10, section A.3).

  Freshly initialized, it is the identity.

  Attributes:
    graph: The graph, whose groups of nodes, if any, are max-pooled.
    norm: Makes the batch norm, which adds a residual.

  Examples:
    >>> import jax, jax.numpy as jnp
    >>> from semgcn_jax import H36M
    >>> from semgcn_jax.models import NonLocal
    >>> layer, x = NonLocal(graph=H36M), jnp.ones((16, 8, 4))
    >>> variables = layer.init(jax.random.key(0), x, train=False)
    >>> bool((layer.apply(variables, x, train=False) == x).all())
    True
  """

  graph: Nodes
  norm: Callable[..., nn.Module] = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Adds the non-local responses to x: `[J, ..., C]` -> `[J, ..., C]`."""
    channels = x.shape[-1]
    inner = max(channels // 2, 1)
    theta, phi, g = (
      _Weights(inner, name=name)(channels) for name in ('theta', 'phi', 'g')
    )
    out = _Weights(channels, name='out')(inner)
    w = self.param('affinity', _affinity_init, (2 * inner,))
    w_theta, w_phi = jnp.split(w, 2)
    weights = NonLocalWeights(
      kernel=jnp.concatenate([phi['kernel'], g['kernel']], axis=1),
      w_theta=theta['kernel'] @ w_theta,
      w_phi=w_phi,
      bias=jnp.concatenate([theta['bias'], phi['bias']]) @ w,
      bias_g=g['bias'],
      out=out['kernel'],
      bias_out=jax.lax.stop_gradient(out['bias']),  # See `Linear`.
    )
    y = non_local(x, weights, self.graph.groups)
    norm = self.norm(scale_init=nn.initializers.zeros, name='norm')
    return norm(y, train=train, residual=x)


class _Weights(nn.Module):
  """The parameters of a `Linear`, without its product."""

  features: int

  @nn.compact
  def __call__(self, channels: int) -> dict[str, Array]:
    """Returns the kernel, `[C, D]`, and the bias, `[D]`."""
    kernel = self.param('kernel', kaiming_normal, (channels, self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return {'kernel': kernel, 'bias': bias}


def _affinity_init(key: Array, shape: tuple[int]) -> Array:
  """Draws w of paper eq. 10, Kaiming-normal over the concatenated channels."""
  return kaiming_normal(key, (*shape, 1))[:, 0]


class GraphConvBlock(nn.Module):
  """A graph convolution, then a batch norm, a ReLU and dropout.

  Attributes:
    conv: Makes the graph convolution, or another layer, given features,
      train_bias and name.
    features: The number of output channels, D.
    norm: Makes the batch norm, given relu and name.
    dropout: The dropout rate.
    layer: The name of the layer that `conv` makes.
  """

  conv: Callable[..., nn.Module]
  features: int
  norm: Callable[..., nn.Module] = BatchNorm
  dropout: float = 0.0
  layer: str = 'conv'

  @property
  def fields(self) -> tuple[Any, ...]:
    """The values of its fields, for nested blocks."""
    return self.conv, self.features, self.norm, self.dropout

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Convolves nodes: `[J, ..., C]` -> `[J, ..., D]`."""
    x = self.conv(self.features, train_bias=False, name=self.layer)(x)
    x = self.norm(relu=True, name='norm')(x, train=train)
    return nn.Dropout(self.dropout, deterministic=not train)(x)


class ResidualBlock(GraphConvBlock):
  """The residual block x + block(block(x))."""

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Adds the output of two blocks to x: `[J, ..., D]` -> `[J, ..., D]`."""
    y = GraphConvBlock(*self.fields, name='block1')(x, train=train)
    return x + GraphConvBlock(*self.fields, name='block2')(y, train=train)


class PoseNetwork(nn.Module):
  """The base of the networks that predict poses, or features of any nodes.

  Attributes:
    graph: The skeleton of the poses, or another graph.
    hid_dim: The number of channels of the hidden layers.
    num_layers: The number of residual blocks.
    dropout: The dropout rate after every ReLU.
    out_dim: The number of coordinates, or features, of a predicted joint.
    norm: Makes the batch norms.
    dtype: The type of the activations; None takes that of the input.
      Predictions always have the type of the input.
  """

  graph: Nodes
  hid_dim: int = 128
  num_layers: int = 4
  dropout: float = 0.0
  out_dim: int = 3
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Any = None

  @property
  def num_predicted(self) -> int:
    """The number of joints predicted; the others are zero."""
    return self.graph.num_nodes
