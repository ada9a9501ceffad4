"""Graph convolutions, as linen modules over the functions of functional.py.

Notation: J joints, C input channels, D output channels. The joints come first,
`[J, ..., C]`. Parameters are float32; activations have the type of the input.
"""

import functools

import chex
import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ATTENTION_HEADS
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.functional import (
  attend,
  graph_conv,
  linear,
  neighbour_softmax,
  partition_graph_conv,
  semantic_adjacency,
  semantic_graph_conv,
  spread_edges,
)
from semgcn_jax.models.graph import (
  adjacency_mask,
  normalized_adjacency,
  partitions,
)
from semgcn_jax.models.layers import Array, add_bias, uniform

# This is Xavier-uniform, with the gain of 1.414 of the released code. For K
# kernels, `[K, C, D]`, the fans are K C and K D.
xavier = nn.initializers.variance_scaling(1.414**2, 'fan_avg', 'uniform')


class _Convolution(nn.Module):
  """What the graph convolutions share.

  Attributes:
    features: The number of output channels, D.
    skeleton: The skeleton, whose bones are the edges.
    train_bias: Whether the bias is trained; see `Linear`.
  """

  features: int
  skeleton: Skeleton
  train_bias: bool = True


class GraphConv(_Convolution):
  """The vanilla graph convolution, with a bias (paper eq. 1).

  The adjacency of the skeleton is normalised symmetrically.
  """

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Convolves nodes: `[J, ..., C]` -> `[J, ..., D]`."""
    chex.assert_axis_dimension(x, 0, self.skeleton.num_joints)
    kernel = self.param('kernel', xavier, (x.shape[-1], self.features))
    bias = self.param('bias', uniform(self.features**-0.5), (self.features,))
    x = graph_conv(x, kernel, jnp.asarray(normalized_adjacency(self.skeleton)))
    return add_bias(x, bias, self.train_bias)


class SemGraphConv(_Convolution):
  """The semantic graph convolution (paper eq. 2 and 9).

  Attributes:
    channel_wise: Whether each output channel has an adjacency of its own
      (paper eq. 3).
  """

  channel_wise: bool = False

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Convolves nodes: `[J, ..., C]` -> `[J, ..., D]`."""
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
    return add_bias(x, bias, self.train_bias)


class GraphAttention(_Convolution):
  """The graph attention of GAT (arXiv:1710.10903, eq. 1 to 6).

  The weights of a joint's neighbours, itself among them, are computed from the
  nodes: softmax_j(LeakyReLU(a . [W h_i, W h_j])). The outputs of the heads are
  concatenated. Where the features do not divide by the heads, they are averaged
  instead, as in GAT's last layer.

  Attributes:
    heads: The number of heads; GAT has four where it adds residuals.
  """

  heads: int = ATTENTION_HEADS

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Convolves nodes: `[J, ..., C]` -> `[J, ..., D]`."""
    chex.assert_axis_dimension(x, 0, self.skeleton.num_joints)
    channels, heads = x.shape[-1], self.heads
    concatenated = self.features % heads == 0
    size = self.features // heads if concatenated else self.features
    kernel = self.param('kernel', xavier, (channels, heads * size))
    attention = self.param(
      'attention', uniform((6 / (2 * size + 1)) ** 0.5), (2, heads, size)
    )
    bias = self.param('bias', uniform(self.features**-0.5), (self.features,))
    # As a . W h is linear in h, it takes only two more columns for each head.
    columns = jnp.einsum(
      'chs,ehs->ceh', kernel.reshape(channels, heads, size), attention
    ).reshape(channels, -1)
    nodes = linear(x, jnp.concatenate([kernel, columns], axis=1))
    nodes, of_i, of_j = jnp.split(
      nodes, [heads * size, heads * (size + 1)], axis=-1
    )
    logits = nn.leaky_relu(of_i[:, None] + of_j[None], 0.2)
    weights = neighbour_softmax(logits, adjacency_mask(self.skeleton))
    y = attend(weights, nodes.reshape(*x.shape[:-1], heads, size))
    if concatenated:
      y = y.reshape(*x.shape[:-1], self.features)
    else:
      y = y.mean(axis=-2)
    return add_bias(y, bias, self.train_bias)


class AttentionalGraphConv(_Convolution):
  """The graph convolution of aGCN (Graph R-CNN, arXiv:1808.00191, section 3.3).

  The weights of a joint's neighbours are computed from the nodes:
  softmax_j(w . ReLU(W_a [h_i, h_j])). The weight of the joint itself is one.

  Attributes:
    hidden: The number of rows of W_a; with ten, the network has the published
      0.16M parameters.
  """

  hidden: int = 10

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Convolves nodes: `[J, ..., C]` -> `[J, ..., D]`."""
    chex.assert_axis_dimension(x, 0, self.skeleton.num_joints)
    channels, hidden = x.shape[-1], self.hidden
    kernel = self.param('kernel', xavier, (channels, self.features))
    pair = self.param(
      'pair',
      uniform((6 / (2 * channels + hidden)) ** 0.5),
      (2, channels, hidden),
    )
    score = self.param('score', uniform((6 / (hidden + 1)) ** 0.5), (hidden,))
    bias = self.param('bias', uniform(self.features**-0.5), (self.features,))
    nodes = linear(x, jnp.concatenate([kernel, *pair], axis=1))
    nodes, of_i, of_j = jnp.split(
      nodes, [self.features, self.features + hidden], axis=-1
    )
    logits = linear(nn.relu(of_i[:, None] + of_j[None]), score[:, None])[..., 0]
    eye = np.eye(len(x), dtype=bool)
    mask = adjacency_mask(self.skeleton) & ~eye
    y = nodes + attend(neighbour_softmax(logits, mask), nodes)
    return add_bias(y, bias, self.train_bias)


class PartitionGraphConv(_Convolution):
  """The spatial convolution of ST-GCN (arXiv:1801.07455).

  Each part of the neighbourhood has a kernel of its own. Every edge has one
  learnable importance for all channels, without a softmax.
  """

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Convolves nodes: `[J, ..., C]` -> `[J, ..., D]`."""
    chex.assert_axis_dimension(x, 0, self.skeleton.num_joints)
    parts, mask = partitions(self.skeleton), adjacency_mask(self.skeleton)
    kernel = self.param(
      'kernel', xavier, (len(parts), x.shape[-1], self.features)
    )
    importance = self.param(
      'edge_importance', nn.initializers.ones, (mask.sum(),)
    )
    bias = self.param('bias', uniform(self.features**-0.5), (self.features,))
    x = partition_graph_conv(x, kernel, parts * spread_edges(importance, mask))
    return add_bias(x, bias, self.train_bias)


# The convolution that each value of the setting `conv` names.
CONVOLUTIONS = {
  'semantic': SemGraphConv,
  'channel_wise': functools.partial(SemGraphConv, channel_wise=True),
  'vanilla': GraphConv,
  'gat': GraphAttention,
  'agcn': AttentionalGraphConv,
}
