"""Graph convolutions, as linen modules; for the notation see functional.py."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ATTENTION_HEADS
from semgcn_jax.geometry.graphs import Nodes
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.functional import (
  attend,
  graph_conv,
  linear,
  mix,
  neighbor_softmax,
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
from semgcn_jax.models.layers import Array, uniform

# Xavier-uniform with the released code's gain of 1.414. For K kernels,
# `[K, C, D]`, the fans are K C and K D.
xavier = nn.initializers.variance_scaling(1.414**2, 'fan_avg', 'uniform')


class _Convolution(nn.Module):
  """The base of the graph convolutions, which adds the bias.

  Attributes:
    features: The number of output channels, D.
    graph: The graph, such as a skeleton, whose bones are its edges.
    train_bias: Whether the bias is trained; see `Linear`.
  """

  features: int
  graph: Nodes
  train_bias: bool = True

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Convolves nodes: `[J, ..., C]` -> `[J, ..., D]`."""
    chex.assert_axis_dimension(x, 0, self.graph.num_nodes)
    return self._convolve_and_add(x)

  def _convolve_and_add(self, x: Array) -> Array:
    return self._convolve(x) + self._bias(x).astype(x.dtype)

  def _convolve(self, x: Array) -> Array:
    raise NotImplementedError

  def _bias(self, x: Array) -> Array:
    """Makes the bias, `[D]`, after all other parameters."""
    init = uniform(self._bias_fan(x.shape[-1]) ** -0.5)
    bias = self.param('bias', init, (self.features,))
    return bias if self.train_bias else jax.lax.stop_gradient(bias)

  def _bias_fan(self, channels: int) -> int:
    del channels
    return self.features


class GraphConv(_Convolution):
  """The vanilla graph convolution (paper eq. 1).

  The adjacency of the graph is normalized symmetrically.

  Examples:
    >>> import jax, jax.numpy as jnp
    >>> from semgcn_jax import H36M
    >>> from semgcn_jax.models import GraphConv
    >>> layer, x = GraphConv(features=32, graph=H36M), jnp.ones((16, 8, 2))
    >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
    (16, 8, 32)
  """

  def _convolve(self, x: Array) -> Array:
    kernel = self.param('kernel', xavier, (x.shape[-1], self.features))
    adjacency = normalized_adjacency(self.graph)
    return graph_conv(x, kernel, jnp.asarray(adjacency))


class SemGraphConv(_Convolution):
  """The semantic graph convolution (paper eq. 2 and 9).

  Attributes:
    channel_wise: Whether each output channel has its own adjacency (paper
      eq. 3).

  Examples:
    >>> import jax, jax.numpy as jnp
    >>> from semgcn_jax import H36M
    >>> from semgcn_jax.models import SemGraphConv
    >>> layer, x = SemGraphConv(features=32, graph=H36M), jnp.ones((16, 8, 2))
    >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
    (16, 8, 32)
  """

  channel_wise: bool = False

  def _convolve_and_add(self, x: Array) -> Array:
    channels, features = x.shape[-1], self.features
    mask = adjacency_mask(self.graph)
    # The released code initializes one [2, C, D] tensor, for which PyTorch
    # takes the fans C * D and 2 * D; hence these small weights.
    fans = channels * features + 2 * features
    kernel = self.param(
      'kernel', uniform(1.414 * (6 / fans) ** 0.5), (2, channels, features)
    )
    edges = (features, mask.sum()) if self.channel_wise else (mask.sum(),)
    edge_logits = self.param('edge_logits', nn.initializers.ones, edges)
    adjacency = semantic_adjacency(edge_logits, mask)
    return semantic_graph_conv(x, kernel, adjacency, self._bias(x))

  def _bias_fan(self, channels: int) -> int:
    return channels if self.channel_wise else self.features


class GraphAttention(_Convolution):
  """The graph attention of GAT (arXiv:1710.10903, eq. 1 to 6).

  The weights of a joint's neighbors, including itself, are computed from the
  nodes: softmax_j(LeakyReLU(a . [W h_i, W h_j])). The heads are concatenated,
  or averaged, as in GAT's last layer, if they do not divide the features.

  Attributes:
    heads: The number of heads; GAT has four where it adds residuals.
  """

  heads: int = ATTENTION_HEADS

  def _convolve(self, x: Array) -> Array:
    channels, heads = x.shape[-1], self.heads
    concatenated = self.features % heads == 0
    size = self.features // heads if concatenated else self.features
    kernel = self.param('kernel', xavier, (channels, heads * size))
    attention = self.param(
      'attention', uniform((6 / (2 * size + 1)) ** 0.5), (2, heads, size)
    )
    # As a . W h is linear in h, it only takes two more columns per head.
    columns = jnp.einsum(
      'chs,ehs->ceh', kernel.reshape(channels, heads, size), attention
    ).reshape(channels, -1)
    nodes = linear(x, jnp.concatenate([kernel, columns], axis=1))
    nodes, of_i, of_j = jnp.split(
      nodes, [heads * size, heads * (size + 1)], axis=-1
    )
    logits = nn.leaky_relu(of_i[:, None] + of_j[None], 0.2)
    weights = neighbor_softmax(logits, adjacency_mask(self.graph))
    y = attend(weights, nodes.reshape(*x.shape[:-1], heads, size))
    if concatenated:
      return y.reshape(*x.shape[:-1], self.features)
    return y.mean(axis=-2)


class AttentionalGraphConv(_Convolution):
  """The graph convolution of aGCN (Graph R-CNN, arXiv:1808.00191, section 3.3).

  The weights of a joint's neighbors are computed from the nodes:
  softmax_j(w . ReLU(W_a [h_i, h_j])). The weight of the joint itself is one.

  Attributes:
    hidden: The number of rows of W_a; ten gives the published 0.16M parameters.
  """

  hidden: int = 10

  def _convolve(self, x: Array) -> Array:
    channels, hidden = x.shape[-1], self.hidden
    kernel = self.param('kernel', xavier, (channels, self.features))
    init = uniform((6 / (2 * channels + hidden)) ** 0.5)
    pair = self.param('pair', init, (2, channels, hidden))
    score = self.param('score', uniform((6 / (hidden + 1)) ** 0.5), (hidden,))
    nodes = linear(x, jnp.concatenate([kernel, *pair], axis=1))
    nodes, of_i, of_j = jnp.split(
      nodes, [self.features, self.features + hidden], axis=-1
    )
    logits = linear(nn.relu(of_i[:, None] + of_j[None]), score[:, None])[..., 0]
    eye = np.eye(len(x), dtype=bool)
    mask = adjacency_mask(self.graph) & ~eye
    return nodes + attend(neighbor_softmax(logits, mask), nodes)


class PartitionGraphConv(_Convolution):
  """The spatial convolution of ST-GCN (arXiv:1801.07455).

  Each part of the neighborhood has its own kernel. Every edge has one
  learnable importance for all channels, without a softmax.
  """

  def _convolve(self, x: Array) -> Array:
    skeleton = self.graph
    assert isinstance(skeleton, Skeleton)  # Its root gives the parts.
    parts, mask = partitions(skeleton), adjacency_mask(skeleton)
    shape = (len(parts), x.shape[-1], self.features)
    kernel = self.param('kernel', xavier, shape)
    importance = self.param(
      'edge_importance', nn.initializers.ones, (mask.sum(),)
    )
    edges = spread_edges(importance, mask)
    return partition_graph_conv(x, kernel, parts * edges)


class ModulatedGraphConv(_Convolution):
  """The convolution of Modulated GCN (Zou and Tang, ICCV 2021).

  Nodes share the kernels, one for themselves and one for their neighbors, and
  each node modulates what they give, channel by channel. The adjacency, which
  is normalized as in `GraphConv`, has a learned, symmetric addition, also
  between nodes without an edge. A fresh layer modulates and adds nothing.

  Examples:
    >>> import jax, jax.numpy as jnp
    >>> from semgcn_jax import H36M
    >>> from semgcn_jax.models import ModulatedGraphConv
    >>> layer = ModulatedGraphConv(features=32, graph=H36M)
    >>> x = jnp.ones((16, 8, 2))
    >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
    (16, 8, 32)
  """

  def _convolve(self, x: Array) -> Array:
    nodes, features = len(x), self.features
    kernel = self.param('kernel', xavier, (2, x.shape[-1], features))
    weights = self.param('modulation', nn.initializers.ones, (nodes, features))
    added = self.param('affinity', nn.initializers.zeros, (nodes, nodes))
    weights = weights.reshape(nodes, *[1] * (x.ndim - 2), features)
    itself, neighbors = (
      weights.astype(x.dtype) * linear(x, matrix) for matrix in kernel
    )
    adjacency = normalized_adjacency(self.graph) + (added + added.T) / 2
    own = jnp.diag(adjacency).reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)
    others = adjacency * (1 - np.eye(nodes, dtype=np.float32))
    return own * itself + mix(others, neighbors)


# By the values of the setting `conv`.
CONVOLUTIONS = {
  'semantic': SemGraphConv,
  'channel_wise': functools.partial(SemGraphConv, channel_wise=True),
  'vanilla': GraphConv,
  'gat': GraphAttention,
  'agcn': AttentionalGraphConv,
  'modulated': ModulatedGraphConv,
}
