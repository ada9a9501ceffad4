"""ST-GCN for single frames (arXiv:1801.07455; the paper's Table 3)."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.convolutions import PartitionGraphConv
from semgcn_jax.models.layers import BatchNorm, GraphConvBlock, Linear


class SpatialTemporalBlock(nn.Module):
  """A unit of ST-GCN: a spatial and a temporal convolution, and a residual.

  For a single frame the temporal convolution is a linear map of the channels.
  Each of the two has a batch norm. The block has the fields of
  `GraphConvBlock`.
  """

  conv: Callable[..., nn.Module]
  features: int
  norm: Callable[..., nn.Module] = BatchNorm
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Applies the unit to nodes: `[J, ..., D]` -> `[J, ..., D]`."""
    fields = (self.conv, self.features, self.norm)
    y = GraphConvBlock(*fields, name='spatial')(x, train=train)
    y = Linear(self.features, train_bias=False, name='linear')(y)
    y = self.norm(name='norm')(y, train=train)
    y = nn.Dropout(self.dropout, deterministic=not train)(y)
    return nn.relu(x + y)


class STGCN(nn.Module):
  """A network like SemGCN, with the units of ST-GCN in the place of its own.

  The authors of ST-GCN classify whole sequences. Here the last layer is a
  convolution to the coordinates, as in SemGCN. The first layer is a spatial
  convolution alone, and the inputs, which are on the normalised screen, get no
  batch norm.

  Attributes:
    skeleton: The skeleton, which is the graph.
    hid_dim: The number of channels of the hidden layers.
    num_layers: The number of blocks.
    dropout: The rate of dropout in the first layer and in every block.
    out_dim: The number of coordinates of a predicted joint.
    norm: Makes the batch norms.
    dtype: The type of the activations; None takes that of the input.
      Predictions always have the type of the input.
  """

  skeleton: Skeleton
  hid_dim: int = 128
  num_layers: int = 4
  dropout: float = 0.0
  out_dim: int = 3
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Any = None

  @property
  def num_predicted(self) -> int:
    """The number of joints that the model predicts."""
    return self.skeleton.num_joints

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Predicts `[..., J, 3]`, metres, from `[..., J, 2]`, normalised screen."""
    conv = functools.partial(PartitionGraphConv, skeleton=self.skeleton)
    fields = (conv, self.hid_dim, self.norm, self.dropout)
    wide = x.dtype
    x = jnp.moveaxis(x, -2, 0).astype(self.dtype or wide)
    x = GraphConvBlock(*fields, name='input')(x, train=train)
    for i in range(self.num_layers):
      x = SpatialTemporalBlock(*fields, name=f'block{i}')(x, train=train)
    x = conv(self.out_dim, name='output')(x.astype(wide))
    return jnp.moveaxis(x, 0, -2)
