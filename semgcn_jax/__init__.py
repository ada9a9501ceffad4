"""Semantic Graph Convolutional Networks (arXiv:1904.03345) in JAX."""

from typing import TYPE_CHECKING, Any

__version__ = '0.1.0'
__all__ = ['Lifter', '__version__', 'load_predictor']

if TYPE_CHECKING:
  from semgcn_jax.inference import Lifter, load_predictor


def __getattr__(name: str) -> Any:
  """Imports `Lifter` and `load_predictor` when they are first used.

  A command that computes nothing would otherwise wait for JAX to be imported.

  Raises:
    AttributeError: The module has no attribute of this name.
  """
  if name in ('Lifter', 'load_predictor'):
    from semgcn_jax import inference

    return getattr(inference, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
