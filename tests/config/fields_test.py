"""Groups of settings check their values."""

import dataclasses

import pytest

from semgcn_jax.config.fields import (
  POSITIVE,
  REQUIRED,
  Group,
  between,
  kind_of,
  setting,
  settings_of,
)
from semgcn_jax.errors import SettingError


@dataclasses.dataclass(frozen=True)
class Walk(Group):
  place: str = setting(REQUIRED, 'Go there.')
  pace: float = setting(1.0, 'Go so fast.', POSITIVE)
  steps: int | None = setting(None, 'Go so far.', POSITIVE)
  shoes: str = setting('', 'Wear these.', choices=('', 'boots', 'clogs'))
  dogs: tuple[str, ...] = setting((), 'Take them along.')
  cats: tuple[str, ...] | None = setting(None, 'Take them along, if any.')
  notes: dict = dataclasses.field(default_factory=dict, kw_only=True)


def test_kinds_are_those_of_the_annotations():
  kinds = {field.name: kind_of(field) for field in settings_of(Walk)}
  text = {'place': str, 'shoes': str}
  numbers = {'pace': float, 'steps': int}
  assert kinds == text | numbers | {'dogs': tuple, 'cats': tuple}


def test_good_values_are_taken():
  walk = Walk(place='sea', pace=2, steps=3, shoes='clogs', cats=('Tom',))
  assert (walk.pace, walk.steps, walk.cats) == (2, 3, ('Tom',))
  assert Walk(place='sea', steps=None).steps is None


def test_what_is_required_must_be_given():
  with pytest.raises(TypeError, match='place'):
    Walk()
  with pytest.raises(SettingError, match='`place=None`: must be of type str'):
    Walk(place=None)


@pytest.mark.parametrize(
  'values, message',
  [
    ({'pace': None}, '`pace=None`: must be of type float'),
    ({'pace': True}, '`pace=True`: must be of type float'),
    ({'pace': float('nan')}, '`pace=nan`: must be above 0'),
    ({'steps': 0}, '`steps=0`: must be above 0'),
    ({'steps': 1.5}, '`steps=1.5`: must be of type int'),
    ({'shoes': 'heels'}, '`shoes=heels`: choose from boots, clogs'),
    ({'cats': ('',)}, '`cats`: has an empty name'),
  ],
)
def test_bad_values_are_refused(values, message):
  with pytest.raises(SettingError) as refused:
    Walk(place='sea', **values)
  assert str(refused.value).startswith(message)


def test_a_range_includes_its_ends():
  within = between(-2, 3)
  assert within.text == 'from -2 to 3'
  values = (-2.1, -2, 0, 3, 3.1, float('nan'))
  assert [within.contains(x) for x in values] == [0, 1, 1, 1, 0, 0]
