"""Folds batch norms into the preceding layers, for predictions."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.models.layers import BatchNorm

# The names of the layers that can precede a batch norm.
_NORMALIZED = ('conv', 'out', 'linear')
# The parameters of layers that are linear in kernel and bias.
_LINEAR = {
  *('kernel', 'bias', 'edge_logits', 'edge_importance', 'modulation'),
  *('affinity', 'pair', 'score'),
}


class FoldedNorm(nn.Module):
  """What remains of a batch norm after `fold`: its ReLU.

  After graph attention, whose kernel has another use, and other layers that are
  not known to be linear, the norm keeps `factor` and `shift`; after a layer
  without a bias, `shift`.

  Attributes:
    relu: Whether a ReLU follows.
    scale_init: Unused; for compatibility with `BatchNorm`.
  """

  relu: bool = False
  scale_init: Any = None

  def __call__(
    self, x: jax.Array, *, train: bool, residual: jax.Array | None = None
  ) -> jax.Array:
    """Applies the rest of the norm, and adds the residual, if any.

    `[..., C]`, `[..., C]` -> `[..., C]`.
    """
    del train
    if self.has_variable('params', 'shift'):
      factor = 1
      if self.has_variable('params', 'factor'):
        factor = self.get_variable('params', 'factor')
      shift = self.get_variable('params', 'shift')
      x = (x * factor + shift).astype(x.dtype)
    x = nn.relu(x) if self.relu else x
    return x if residual is None else residual + x


def fold(variables: dict[str, Any]) -> dict[str, Any]:
  """Folds every batch norm, with running statistics, into the preceding layer.

  For s = scale / sqrt(var + epsilon), y = s (W x + b - mean) + beta is a single
  layer with the kernel s W and the bias s (b - mean) + beta.

  Args:
    variables: The params and batch_stats of a model.

  Returns:
    The params of the same model with `FoldedNorm` as its norms.
  """

  def fold_below(params, stats):
    folded = {
      name: fold_below(part, stats.get(name, {}))
      if isinstance(part, dict)
      else part
      for name, part in params.items()
    }
    norm = folded.pop('norm', None)
    if norm is not None:
      (name,) = (name for name in _NORMALIZED if name in folded)
      layer, of_norm = folded[name], stats['norm']
      # JAX would compile a program for each shape of arrays of NumPy.
      sqrt = np.sqrt if isinstance(of_norm['var'], np.ndarray) else jnp.sqrt
      deviation = sqrt(of_norm['var'] + BatchNorm.epsilon)
      factor = norm['scale'] / deviation
      shift = norm['bias'] - of_norm['mean'] * factor
      if not layer.keys() <= _LINEAR:
        folded['norm'] = {'factor': factor, 'shift': shift}
        return folded
      if 'bias' not in layer:
        folded[name] = layer | {'kernel': layer['kernel'] * factor}
        folded['norm'] = {'shift': shift}
        return folded
      folded[name] = layer | {
        'kernel': layer['kernel'] * factor,
        'bias': (layer['bias'] - of_norm['mean']) * factor + norm['bias'],
      }
    return folded

  return {'params': fold_below(variables['params'], variables['batch_stats'])}
