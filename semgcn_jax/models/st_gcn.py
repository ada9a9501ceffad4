"""ST-GCN for single frames (arXiv:1801.07455; the paper's Table 3)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.models.convolutions import PartitionGraphConv
from semgcn_jax.models.layers import GraphConvBlock, Linear, PoseNetwork


class SpatialTemporalBlock(GraphConvBlock):
  """A unit of ST-GCN: a spatial and a temporal convolution, and a residual.

  For single frames the temporal convolution is a linear map of the channels.
  Each of the two has a batch norm.
  """

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Applies the unit to nodes: `[J, ..., D]` -> `[J, ..., D]`."""
    fields = (self.conv, self.features, self.norm)
    y = GraphConvBlock(*fields, name='spatial')(x, train=train)
    y = Linear(self.features, train_bias=False, name='linear')(y)
    y = self.norm(name='norm')(y, train=train)
    y = nn.Dropout(self.dropout, deterministic=not train)(y)
    return nn.relu(x + y)


class STGCN(PoseNetwork):
  """A network like SemGCN, with the units of ST-GCN instead of its own.

  The authors of ST-GCN classify whole sequences. Here the last layer is a
  convolution to the coordinates, as in SemGCN. The first layer is only a
  spatial convolution, and the inputs, on the normalized screen, get no batch
  norm. Dropout is in the first layer and in every block.
  """

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Predicts `[..., J, 3]`, metres, from `[..., J, 2]`, normalized screen."""
    conv = functools.partial(PartitionGraphConv, graph=self.graph)
    fields = (conv, self.hid_dim, self.norm, self.dropout)
    wide = x.dtype
    x = jnp.moveaxis(x, -2, 0).astype(self.dtype or wide)
    x = GraphConvBlock(*fields, name='input')(x, train=train)
    for i in range(self.num_layers):
      x = SpatialTemporalBlock(*fields, name=f'block{i}')(x, train=train)
    x = conv(self.out_dim, name='output')(x.astype(wide))
    return jnp.moveaxis(x, 0, -2)
