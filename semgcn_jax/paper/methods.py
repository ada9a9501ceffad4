"""The methods of the paper's Tables 1 and 3."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Method:
  """A row of the tables.

  Attributes:
    name: Its name, as in `evaluation.published`.
    tables: The tables of the paper where it is.
    fields: The settings that make it.
    lifter: The method whose poses it refines; '' for none.
  """

  name: str
  tables: tuple[int, ...]
  fields: dict[str, Any]
  lifter: str = ''

  @property
  def folder(self) -> str:
    """The name of the folder of its run."""
    words = {'w/o': 'without', 'w/': 'with'}
    name = self.name.lower().split()
    return '_'.join(words.get(word, word) for word in name)


_SEMGCN = {'model': 'semgcn'}
_RESGCN = _SEMGCN | {'conv': 'vanilla', 'non_local': False}
METHODS = (
  Method('ResGCN', (1,), _RESGCN),
  Method(
    'SemGCN w/o semantic convolution', (1,), _SEMGCN | {'conv': 'vanilla'}
  ),
  Method('SemGCN w/o non-local', (1,), _SEMGCN | {'non_local': False}),
  Method('SemGCN', (1, 3), _SEMGCN),
  Method('aGCN', (3,), _RESGCN | {'conv': 'agcn'}),
  # As wide as it takes for the published number of parameters.
  Method('GAT', (3,), _RESGCN | {'conv': 'gat', 'hid_dim': 136}),
  Method('ST-GCN', (3,), {'model': 'st_gcn'}),
  Method('FC', (3,), {'model': 'linear'}),
  Method('FC w/ pose grammar', (3,), {}, lifter='FC'),
  Method('SemGCN w/ pose grammar', (3,), {}, lifter='SemGCN'),
)
TABLES = (1, 3)
# The settings that the methods differ in.
DIFFERING = ('model', 'conv', 'non_local', 'refine', 'init_from')


def named(name: str) -> Method:
  """Finds the method of this name, which there is."""
  return next(method for method in METHODS if method.name == name)
