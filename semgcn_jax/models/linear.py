"""The fully connected baseline of Martinez et al. (arXiv:1705.03098)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.models.layers import (
  GraphConvBlock,
  Linear,
  PoseNetwork,
  uniform,
)


class LinearModel(PoseNetwork):
  """The fully connected network, which maps all joints at once.

  It predicts every joint except the root of a skeleton, which is zero. Its
  residual blocks are called stages.

  Examples:
    >>> import jax, jax.numpy as jnp
    >>> from semgcn_jax import H36M
    >>> from semgcn_jax.models import LinearModel
    >>> model, x = LinearModel(graph=H36M, hid_dim=64), jnp.ones((8, 16, 2))
    >>> model.apply(model.init(jax.random.key(0), x), x).shape
    (8, 16, 3)
  """

  hid_dim: int = 1024
  num_layers: int = 2
  dropout: float = 0.5

  @property
  def num_predicted(self) -> int:
    """The number of joints predicted: all except the root of a skeleton."""
    return self.graph.num_nodes - (self._root is not None)

  @property
  def _root(self) -> int | None:
    return getattr(self.graph, 'root', None)

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Predicts `[..., J, 3]`, metres, from `[..., J, 2]`, normalized screen."""
    block = functools.partial(
      *(GraphConvBlock, Linear, self.hid_dim, self.norm, self.dropout),
      layer='linear',
    )
    leading = x.shape[:-2]
    wide = x.dtype
    x = x.reshape(*leading, -1).astype(self.dtype or wide)
    x = block(name='input')(x, train=train)
    for i in range(self.num_layers):
      y = block(name=f'stage{i}_block1')(x, train=train)
      x = x + block(name=f'stage{i}_block2')(y, train=train)
    init = uniform(self.hid_dim**-0.5)
    outputs = self.num_predicted * self.out_dim
    x = Linear(outputs, bias_init=init, name='output')(x.astype(wide))
    x = x.reshape(*leading, self.num_predicted, self.out_dim)
    if self._root is None:
      return x
    root = jnp.zeros((*leading, 1, self.out_dim), x.dtype)
    before, after = jnp.split(x, [self._root], axis=-2)
    return jnp.concatenate([before, root, after], axis=-2)
