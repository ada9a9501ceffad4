"""The exceptions for mistakes that a user can mend.

Their messages name settings (fields of `Config` and arguments of functions) in
backquotes, such as `epochs=0`. The commands show the same as --epochs=0.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar('T')


class UserError(Exception):
  """A mistake in something that the user gave.

  The message is one line: it says what is wrong, in which file or setting, and
  the way out. The commands print it without a traceback.
  """


class SettingError(UserError):
  """A wrong value of a setting: of a field of `Config`, or of an argument."""


class Terminated(KeyboardInterrupt):
  """SIGTERM came; it ends a program as Ctrl-C does, with another status."""


def choose(setting: str, name: str, table: Mapping[str, T]) -> T:
  """Looks up what the value of a setting stands for.

  Args:
    setting: The name of the setting, for the message.
    name: Its value.
    table: The values that it may have, and what they stand for.

  Returns:
    The entry of the table.

  Raises:
    SettingError: The table has no such entry; the message lists those it has.
  """
  if name not in table:
    raise SettingError(f'`{setting}={name}`: choose from {listed(table)}')
  return table[name]


def listed(names: Iterable[str]) -> str:
  """Joins names by commas, for a message; 'nothing' if there are none."""
  return ', '.join(names) or 'nothing'


def counted(count: int, one: str, many: str = '') -> str:
  """Spells a number of things, such as '1 clip' or '1,200 clips'.

  Args:
    count: How many there are.
    one: The word for one of them.
    many: The word for several; if empty, `one` with an s.
  """
  return f'{count:,} {one if count == 1 else many or one + "s"}'


def shortened(text: object, most: int = 40) -> str:
  """Spells something that a file holds in one short line, for a message."""
  words = ' '.join(str(text).split())
  # Others than these would move the cursor of a terminal, or cannot be printed.
  words = ''.join(c if c.isprintable() else repr(c)[1:-1] for c in words)
  return words if len(words) <= most else f'{words[: most - 3]}...'
