"""The methods of the paper's Tables 1 and 3."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Method:
  """A method: a row of the paper's tables.

  Attributes:
    name: The name of the method, as in `evaluation.published`.
    tables: The numbers of the tables that it is in.
    fields: The settings that make it.
    lifter: The name of the method whose poses it refines; '' for none.
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
  # Its width is the one that gives the published number of parameters.
  Method('GAT', (3,), _RESGCN | {'conv': 'gat', 'hid_dim': 136}),
  Method('ST-GCN', (3,), {'model': 'st_gcn'}),
  Method('FC', (3,), {'model': 'linear'}),
  Method('FC w/ pose grammar', (3,), {}, lifter='FC'),
  Method('SemGCN w/ pose grammar', (3,), {}, lifter='SemGCN'),
)
TABLES = (1, 3)
# The settings that the methods differ in, which the user cannot give.
DIFFERING = ('model', 'conv', 'non_local', 'refine', 'init_from')


def named(name: str) -> Method:
  """Finds the method of this name, which must exist."""
  return next(method for method in METHODS if method.name == name)
