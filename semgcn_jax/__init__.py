"""Semantic Graph Convolutional Networks (arXiv:1904.03345) in JAX."""

from typing import TYPE_CHECKING, Any

__version__ = '0.1.0'
__all__ = ['__version__', 'load_predictor']

if TYPE_CHECKING:
  from semgcn_jax.lifting import load_predictor


def __getattr__(name: str) -> Any:
  """Imports `load_predictor` when it is first used.

  A command that computes nothing would otherwise wait for JAX to be imported.

  Raises:
    AttributeError: The module has no attribute of this name.
  """
  if name == 'load_predictor':
    from semgcn_jax.lifting import load_predictor

    return load_predictor
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
