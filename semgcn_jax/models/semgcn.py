"""SemGCN and its ablations (paper section 3.3, Table 1)."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.models.convolutions import CONVOLUTIONS
from semgcn_jax.models.layers import (
  BatchNorm,
  GraphConvBlock,
  NonLocal,
  ResidualBlock,
)
from semgcn_jax.skeleton import Skeleton


class SemGCN(nn.Module):
  """2D joints -> 3D joints.

  The rows of the paper's Table 1: ResGCN is `conv='vanilla',
  non_local=False`; "w/o SemGConv" is `conv='vanilla'`; "w/o Non-Local" is
  `non_local=False`; SemGCN is the default. Of its Table 3, aGCN is
  `conv='agcn', non_local=False`, and GAT `conv='gat', non_local=False,
  hid_dim=136`.

  Attributes:
    skeleton: the graph.
    hid_dim: channels of the hidden layers.
    num_layers: number of residual blocks.
    conv: a key of `CONVOLUTIONS`; 'channel_wise' is paper eq. 3.
    non_local: a non-local layer after the first block and each residual block.
    dropout: rate behind every ReLU.
    out_dim: coordinates per joint.
    norm: makes the batch norms.
    dtype: of the activations; None: that of the input, which predictions have
      always.
  """

  skeleton: Skeleton
  hid_dim: int = 128
  num_layers: int = 4
  conv: str = 'semantic'
  non_local: bool = True
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
    conv = functools.partial(CONVOLUTIONS[self.conv], skeleton=self.skeleton)
    fields = (conv, self.hid_dim, self.norm, self.dropout)

    def non_local(x, name):
      if not self.non_local:
        return x
      return NonLocal(self.skeleton, self.norm, name=name)(x, train=train)

    wide = x.dtype
    x = jnp.moveaxis(x, -2, 0).astype(self.dtype or wide)
    x = GraphConvBlock(*fields, name='input')(x, train=train)
    x = non_local(x, 'input_non_local')
    for i in range(self.num_layers):
      x = ResidualBlock(*fields, name=f'residual{i}')(x, train=train)
      x = non_local(x, f'residual{i}_non_local')
    x = conv(self.out_dim, name='output')(x.astype(wide))
    return jnp.moveaxis(x, 0, -2)
