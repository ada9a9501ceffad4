"""The exceptions for what a user can mend."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar('T')


class UserError(Exception):
  """Something the user gave is wrong.

  The message is one line: what is wrong, in which file or flag, and the way
  out. The commands print it and exit with `status`, without a traceback.
  """

  status = 1


class FlagError(UserError):
  """The value of a flag is wrong."""

  status = 2


def choose(flag: str, name: str, table: Mapping[str, T]) -> T:
  """table[name].

  Raises:
    FlagError: no such name; the message lists those there are.
  """
  if name not in table:
    raise FlagError(f'--{flag}={name}: choose from {listed(table)}')
  return table[name]


def listed(names: Iterable[str]) -> str:
  return ', '.join(names) or 'nothing'
