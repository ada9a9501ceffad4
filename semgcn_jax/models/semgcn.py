"""SemGCN and its ablations (paper section 3.3, Table 1)."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.models.convolutions import CONVOLUTIONS
from semgcn_jax.models.layers import (
  GraphConvBlock,
  NonLocal,
  PoseNetwork,
  ResidualBlock,
)


class SemGCN(PoseNetwork):
  """The network of the paper, with graph convolutions and non-local layers.

  The default is SemGCN in the paper's Table 1. In its other rows, ResGCN is
  `conv='vanilla', non_local=False`; "w/o SemGConv" is `conv='vanilla'`; and
  "w/o Non-Local" is `non_local=False`. In Table 3, aGCN is `conv='agcn',
  non_local=False`, and GAT is `conv='gat', non_local=False, hid_dim=136`.

  Attributes:
    conv: The graph convolution, a key of `CONVOLUTIONS`.
    non_local: Whether a non-local layer follows the first block and each
      residual block.
    time: Makes the temporal layer, given its number and name, that follows the
      first block and each residual block; None for single frames.

  Examples:
    >>> import jax, jax.numpy as jnp
    >>> from semgcn_jax import H36M
    >>> from semgcn_jax.models import SemGCN
    >>> model = SemGCN(graph=H36M, hid_dim=32, num_layers=2)
    >>> x = jnp.ones((8, 16, 2))
    >>> variables = model.init(jax.random.key(0), x)
    >>> model.apply(variables, x).shape
    (8, 16, 3)
  """

  conv: str = 'semantic'
  non_local: bool = True
  time: Callable[..., Callable[..., jax.Array]] | None = None

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool = False,
    length: jax.Array | None = None,
  ) -> jax.Array:
    """Predicts `[..., J, 3]`, metres, from `[..., J, 2]`, normalized screen.

    Args:
      x: The 2D joints; with `time` those of clips, `[..., T, J, 2]`.
      train: Whether to use, and update, the statistics of the batch.
      length: The number of frames before the padding of each clip, `[...]`.
    """
    conv = functools.partial(CONVOLUTIONS[self.conv], graph=self.graph)
    fields = (conv, self.hid_dim, self.norm, self.dropout)

    def non_local(x, name):
      if not self.non_local:
        return x
      return NonLocal(self.graph, self.norm, name=name)(x, train=train)

    def between_frames(x, number):
      if self.time is None:
        return x
      return self.time(number, name=f'time{number}')(x, length)

    wide = x.dtype
    x = jnp.moveaxis(x, -2, 0).astype(self.dtype or wide)
    if self.time is not None:
      x = jnp.moveaxis(x, -2, 1)
    x = GraphConvBlock(*fields, name='input')(x, train=train)
    x = between_frames(non_local(x, 'input_non_local'), 0)
    for i in range(self.num_layers):
      x = ResidualBlock(*fields, name=f'residual{i}')(x, train=train)
      x = between_frames(non_local(x, f'residual{i}_non_local'), i + 1)
    x = conv(self.out_dim, name='output')(x.astype(wide))
    if self.time is not None:
      x = jnp.moveaxis(x, 1, -2)
    return jnp.moveaxis(x, 0, -2)
