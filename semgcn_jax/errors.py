"""The exceptions for what a user can mend.

Their messages name settings (fields of `Config` and arguments of functions) in
backquotes, such as `epochs=0`. The commands show the same as --epochs=0.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar('T')


class UserError(Exception):
  """Something that the user gave is wrong.

  The message is one line: it says what is wrong, in which file or setting, and
  the way out. The commands print it without a traceback.
  """


class SettingError(UserError):
  """The value of a setting is wrong: a field of `Config`, or an argument."""


def choose(setting: str, name: str, table: Mapping[str, T]) -> T:
  """Returns table[name].

  Raises:
    SettingError: There is no such name; the message lists those there are.
  """
  if name not in table:
    raise SettingError(f'`{setting}={name}`: choose from {listed(table)}')
  return table[name]


def listed(names: Iterable[str]) -> str:
  """Joins names by commas, for a message."""
  return ', '.join(names) or 'nothing'
