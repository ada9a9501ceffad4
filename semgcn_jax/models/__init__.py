"""The networks, which map features of the nodes of a graph to others.

`functional` holds their arithmetic, `layers` and `convolutions` the modules
built on it. Each model has its own file; `build` makes the one a config names.
The names in `__all__` can be imported from here.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from semgcn_jax.models.convolutions import (
    GraphConv,
    ModulatedGraphConv,
    SemGraphConv,
  )
  from semgcn_jax.models.layers import NonLocal
  from semgcn_jax.models.linear import LinearModel
  from semgcn_jax.models.semgcn import SemGCN

__all__ = [
  'GraphConv',
  'LinearModel',
  'ModulatedGraphConv',
  'NonLocal',
  'SemGCN',
  'SemGraphConv',
]

_HOMES = {
  'GraphConv': 'convolutions',
  'LinearModel': 'linear',
  'ModulatedGraphConv': 'convolutions',
  'NonLocal': 'layers',
  'SemGCN': 'semgcn',
  'SemGraphConv': 'convolutions',
}


def __getattr__(name: str) -> Any:
  """Imports a module when one of its names is first used."""
  if name not in _HOMES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  home = importlib.import_module(f'{__name__}.{_HOMES[name]}')
  return getattr(home, name)
