"""Declares settings: the default, the help text and the allowed values."""

import dataclasses
import typing
from collections.abc import Callable, Iterable
from typing import Any

from semgcn_jax.errors import SettingError, choose
from semgcn_jax.geometry import rates


@dataclasses.dataclass(frozen=True)
class Range:
  """The range of a number.

  Attributes:
    text: The range in words, for an error message.
    contains: Returns whether a value is in the range; NaN never is.
  """

  text: str
  contains: Callable[[float], bool]


def between(low: float, high: float) -> Range:
  """Builds the range from one number to another, both included."""
  return Range(f'from {low:,} to {high:,}', lambda x: low <= x <= high)


def up_to(high: float) -> Range:
  """Builds the range from 0 to a number."""
  return between(0, high)


POSITIVE = Range('above 0, below 2^31', lambda x: 0 < x < 2**31)
NOT_NEGATIVE = Range('0 or more, below 2^31', lambda x: 0 <= x < 2**31)
FPS = Range(rates.RANGE, rates.is_rate)
FRAME_RATE = between(*rates.OF_NETWORKS)
SHARE = Range('at least 0, below 1', lambda x: 0 <= x < 1)
REQUIRED: Any = dataclasses.MISSING  # The default of a mandatory setting.


def setting(
  default: Any,
  help_text: str,
  within: Range | None = None,
  *,
  choices: Iterable[str] = (),
) -> Any:
  """Declares a field of a group.

  Args:
    default: The default; `REQUIRED` makes the setting mandatory.
    help_text: The text that --help shows.
    within: The range of a number; None allows any.
    choices: The allowed values of a word; if empty, any is.
  """
  metadata = {'help': help_text, 'within': within, 'choices': tuple(choices)}
  return dataclasses.field(default=default, kw_only=True, metadata=metadata)


def settings_of(group: 'Group | type[Group]') -> list[dataclasses.Field]:
  """Lists the fields of a group that `setting` declares."""
  return [f for f in dataclasses.fields(group) if 'help' in f.metadata]


def kind_of(field: dataclasses.Field) -> type:
  """Returns the type of a field; for `T | None` it is T."""
  options = typing.get_args(field.type)
  kind: Any = options[0] if type(None) in options else field.type
  return typing.get_origin(kind) or kind


@dataclasses.dataclass(frozen=True)
class Group:
  """A group of settings, each within its range.

  Raises:
    SettingError: A value has the wrong type, or is out of its range.
  """

  def __post_init__(self):
    for field in settings_of(self):
      value = getattr(self, field.name)
      if value is not None or field.default is not None:
        _check(field, value)


def _check(field: dataclasses.Field, value: Any) -> None:
  """Raises a SettingError if a field cannot have this value."""
  kind, within = kind_of(field), field.metadata['within']
  if type(value) is not kind and (kind, type(value)) != (float, int):
    raise SettingError(
      f'`{field.name}={value}`: must be of type {kind.__name__}'
    )
  if within is not None and not within.contains(value):
    raise SettingError(f'`{field.name}={value}`: must be {within.text}')
  if kind is tuple and not all(isinstance(w, str) and w for w in value):
    raise SettingError(
      f'`{field.name}`: has an empty name, or something that is no name'
    )
  if choices := field.metadata['choices']:
    for word in value if kind is tuple else (value,):
      if word not in choices:
        choose(field.name, word, dict.fromkeys(filter(None, choices)))
