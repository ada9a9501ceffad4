"""ST-GCN with the time dimension one (arXiv:1801.07455; paper, Table 3)."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.models.convolutions import PartitionGraphConv
from semgcn_jax.models.layers import BatchNorm, GraphConvBlock, Linear
from semgcn_jax.skeleton import Skeleton


class SpatialTemporalBlock(nn.Module):
  """Spatial convolution, then the temporal one of a single frame, which is a
  linear map of the channels; each with its batch norm, around a residual.

  Fields as of `GraphConvBlock`.
  """

  conv: Callable[..., nn.Module]
  features: int
  norm: Callable[..., nn.Module] = BatchNorm
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`[J, ..., D]` -> `[J, ..., D]`."""
    fields = (self.conv, self.features, self.norm)
    y = GraphConvBlock(*fields, name='spatial')(x, train=train)
    y = Linear(self.features, train_bias=False, name='linear')(y)
    y = self.norm(name='norm')(y, train=train)
    y = nn.Dropout(self.dropout, deterministic=not train)(y)
    return nn.relu(x + y)


class STGCN(nn.Module):
  """2D joints -> 3D joints, with ST-GCN's units in the place of ours.

  Its authors classify whole sequences; here the last layer is a convolution
  to the coordinates, as in SemGCN. Its first is a spatial convolution alone,
  and the inputs, which are on the normalised screen, get no batch norm.

  Attributes:
    skeleton: the graph.
    hid_dim: channels of the hidden layers.
    num_layers: number of blocks.
    dropout: rate behind every block.
    out_dim: coordinates per joint.
    norm: makes the batch norms.
    dtype: of the activations; None: that of the input, which predictions have
      always.
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
    """Joints that the model predicts."""
    return self.skeleton.num_joints

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Joints `[..., J, 2]`, normalised screen -> `[..., J, 3]`, metres."""
    conv = functools.partial(PartitionGraphConv, skeleton=self.skeleton)
    fields = (conv, self.hid_dim, self.norm, self.dropout)
    wide = x.dtype
    x = jnp.moveaxis(x, -2, 0).astype(self.dtype or wide)
    x = GraphConvBlock(*fields, name='input')(x, train=train)
    for i in range(self.num_layers):
      x = SpatialTemporalBlock(*fields, name=f'block{i}')(x, train=train)
    x = conv(self.out_dim, name='output')(x.astype(wide))
    return jnp.moveaxis(x, 0, -2)
