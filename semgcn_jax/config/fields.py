"""What a setting is: its default, its help, and the values that it may have."""

import dataclasses
from collections.abc import Callable
from typing import Any

from semgcn_jax.errors import SettingError, choose
from semgcn_jax.geometry import rates


@dataclasses.dataclass(frozen=True)
class Range:
  """The values that a number may have.

  Attributes:
    text: The range in words, for an error message.
    contains: Tells whether a value is in the range; NaN never is.
  """

  text: str
  contains: Callable[[float], bool]


POSITIVE = Range('above 0, below 2^31', lambda x: 0 < x < 2**31)
NOT_NEGATIVE = Range('0 or more, below 2^31', lambda x: 0 <= x < 2**31)
FRAME_RATE = Range(rates.RANGE, rates.is_rate)
SHARE = Range('at least 0, below 1', lambda x: 0 <= x < 1)


def up_to(high: float) -> Range:
  """Makes the range from 0 to a number."""
  return Range(f'from 0 to {high}', lambda x: 0 <= x <= high)


def setting(
  default: Any,
  help_text: str,
  within: Range | None = None,
  *,
  choices: tuple[str, ...] = (),
) -> Any:
  """Describes a field of a group.

  Args:
    default: The default, which also tells the type.
    help_text: The sentences that --help shows.
    within: The range of a number; None admits any.
    choices: The values that a word may have; if empty, it may have any.

  Returns:
    The field for a dataclass.
  """
  metadata = {'help': help_text, 'within': within, 'choices': choices}
  return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Group:
  """A group of settings, each within its range.

  Raises:
    SettingError: A value is of another type, or out of its range.
  """

  def __post_init__(self):
    for field in dataclasses.fields(self):
      if 'help' in field.metadata:
        _check(field, getattr(self, field.name))


def _check(field: dataclasses.Field, value: Any) -> None:
  """Raises a SettingError if a field cannot have this value."""
  kind, within = type(field.default), field.metadata['within']
  if type(value) is not kind and (kind, type(value)) != (float, int):
    raise SettingError(
      f'`{field.name}={value}`: must be of type {kind.__name__}'
    )
  if within is not None and not within.contains(value):
    raise SettingError(f'`{field.name}={value}`: must be {within.text}')
  if kind is tuple and not all(isinstance(w, str) and w for w in value):
    raise SettingError(f'`{field.name}`: has an empty name, or what is no name')
  if field.metadata['choices']:
    for word in value if kind is tuple else (value,):
      choose(field.name, word, dict.fromkeys(field.metadata['choices']))
