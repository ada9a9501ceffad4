"""Exceptions for mistakes that a user can fix.

Messages name settings (fields of `Config` and arguments of functions) in
backquotes, such as `epochs=0`, which the commands show as --epochs=0.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar('T')


class UserError(Exception):
  """A mistake in the user's input.

  The message is one line that says what is wrong, in which file or setting, and
  how to fix it. The commands print it without a traceback.

  Examples:
    >>> from semgcn_jax import Lifter, UserError
    >>> try:
    ...   Lifter.load('runs/none')
    ... except UserError as error:
    ...   print(error)  # doctest: +ELLIPSIS
    runs/none: is neither a run folder nor bundled weights (cmu, ...
  """


class SettingError(UserError):
  """A wrong value of a setting, that is, a field of `Config` or an argument."""


class Terminated(KeyboardInterrupt):
  """SIGTERM came; it ends a program like Ctrl-C, with another exit status."""


def choose(setting: str, name: str, table: Mapping[str, T]) -> T:
  """Looks up the value `name` of a setting in a table of all values.

  Raises:
    SettingError: The table has no such entry; the message lists the entries.
  """
  if name not in table:
    raise SettingError(f'`{setting}={name}`: choose from {listed(table)}')
  return table[name]


def missing_extra(
  what: str, package: str, extra: str, error: Exception
) -> SettingError:
  """Builds the error for a package that cannot be imported.

  Args:
    what: What needs it.
    package: Its name.
    extra: The extra of this package that installs it.
    error: What the import raised, of any kind if the package is broken.
  """
  if isinstance(error, ModuleNotFoundError):
    reason = f'install it with pip install "semgcn-jax[{extra}]"'
  else:
    reason = (
      f'it is installed, but cannot be loaded: {shortened(error, 120)}; try'
      f' pip install --force-reinstall "semgcn-jax[{extra}]"'
    )
  return SettingError(f'{what} need {package}; {reason}')


def listed(names: Iterable[str]) -> str:
  """Joins names with commas for a message; 'nothing' if there are none."""
  return ', '.join(names) or 'nothing'


def counted(count: int, one: str, many: str = '') -> str:
  """Formats a count, such as '1 clip' or '1,200 clips'.

  Args:
    count: The number of things.
    one: The singular.
    many: The plural; if empty, `one` with an s.
  """
  return f'{count:,} {one if count == 1 else many or one + "s"}'


def printable(text: str) -> str:
  """Escapes what cannot be printed, or would move the cursor of a terminal."""
  return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shortened(text: object, most: int = 40) -> str:
  """Formats the content of a file as one short line for a message."""
  words = printable(' '.join(str(text).split()))
  return words if len(words) <= most else f'{words[: most - 3]}...'
