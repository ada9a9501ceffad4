"""Parses command lines: groups of settings become flags, and vice versa."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from absl import flags

from semgcn_jax.config import RENAMED, Config, fields_by_group
from semgcn_jax.config.fields import REQUIRED, Group, kind_of, settings_of
from semgcn_jax.config.presets import PRESETS, preset
from semgcn_jax.errors import UserError

_DEFINE = {
  bool: flags.DEFINE_bool,
  int: flags.DEFINE_integer,
  float: flags.DEFINE_float,
  str: flags.DEFINE_string,
  tuple: flags.DEFINE_list,
}
_OF_CONFIG = {
  field.name: field for fields in fields_by_group().values() for field in fields
}
EVERY_SETTING = tuple(_OF_CONFIG)
_log = logging.getLogger(__name__)


class UsageError(Exception):
  """A command line that cannot be parsed; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Flags(Group):
  """The base of the flags of a command, which declares its own as settings.

  Attributes:
    settings: The names of the settings of `Config` that it also takes.
    renamed: {old name of a flag, which still works: new name}.
    given: The settings of `Config` that were given, by name.
    program: How the command was called, such as `python experiments/train.py`.
  """

  settings: ClassVar[Sequence[str]] = ()
  renamed: ClassVar[Mapping[str, str]] = {}
  given: dict[str, Any] = dataclasses.field(default_factory=dict, kw_only=True)
  program: str = dataclasses.field(default='', kw_only=True)

  def validate(self) -> None:
    """Checks how the flags go together, before JAX is imported.

    Raises:
      SettingError: They do not.
      UserError: A file that they name does not exist.
    """


F = TypeVar('F', bound=Flags)


def config_of(given: Mapping[str, Any]) -> Config:
  """Builds the config of the given settings, which may include a preset.

  Raises:
    UserError: A setting is wrong, or the run that it names is damaged.
  """
  settings = dict(given)
  return preset(settings.pop('preset', Config.preset), **settings)


def define(kind: type[Flags]) -> flags.FlagValues:
  """Defines the flags of a command, with --help."""
  values = flags.FlagValues()
  flags.DEFINE_bool(
    'help', False, 'Show this help.', short_name='h', flag_values=values
  )
  for field in settings_of(kind):
    _define(field, field.default, values)
  for name in kind.settings:
    # The preset or the run fills in what is not given.
    _define(_OF_CONFIG[name], None, values)
  for old, new in kind.renamed.items():
    flags.DEFINE_alias(old, new, flag_values=values)
  return values


def _define(
  field: dataclasses.Field, default: Any, values: flags.FlagValues
) -> None:
  """Defines the flag of a setting; the group checks its range."""
  define = _DEFINE[kind_of(field)]
  if default is REQUIRED:
    define(field.name, None, _help(field), values, required=True)
  else:
    # absl would parse a tuple as text.
    default = list(default) if isinstance(default, tuple) else default
    define(field.name, default, _help(field), flag_values=values)


def _help(field: dataclasses.Field) -> str:
  """Returns the help of a setting, with its choices at the end."""
  choices = PRESETS if field.name == 'preset' else field.metadata['choices']
  choices = ', '.join(filter(None, choices))
  return field.metadata['help'] + (f' One of {choices}.' if choices else '')


def help_of(kind: type[Flags]) -> dict[str, str]:
  """Returns the help of each flag of a command."""
  own = {field.name: _help(field) for field in settings_of(kind)}
  return own | {name: _help(_OF_CONFIG[name]) for name in kind.settings}


def parse(
  kind: type[Flags], values: flags.FlagValues, argv: Sequence[str]
) -> None:
  """Parses a command line, argv, into the values of a command's flags.

  Raises:
    UsageError: The command line cannot be parsed.
  """
  try:
    rest = values(argv)
  except flags.Error as error:
    if {'--help', '-h'} & set(argv):
      values.mark_as_parsed()
      values['help'].value = True
      return
    name = getattr(error, 'flagname', '').removeprefix('no')
    if RENAMED.get(name) in kind.settings:
      raise UsageError(f'--{name}: is now called --{RENAMED[name]}') from error
    raise UsageError(' '.join(str(error).split())) from error
  if rest[1:]:
    raise UsageError(f'{rest[1]}: not a flag; flags start with --, see --help')


def read(kind: type[F], values: flags.FlagValues, program: str = '') -> F:
  """Builds the group of a command from its parsed flags.

  Args:
    kind: The flags of the command.
    values: The same, after parsing.
    program: How the command was called.

  Raises:
    SettingError: The value of a flag is out of its range.
  """
  for old, new in kind.renamed.items():
    if values[old].present:
      _log.warning('--%s is now called --%s', old, new)
  own = {f.name: _value(values, f.name) for f in settings_of(kind)}
  return kind(**own, given=_given(kind, values), program=program)


def _given(kind: type[Flags], values: flags.FlagValues) -> dict[str, Any]:
  """Returns the settings of `Config` that were given."""
  settings = {name: _value(values, name) for name in kind.settings}
  return {name: v for name, v in settings.items() if v is not None}


def _value(values: flags.FlagValues, name: str) -> Any:
  """Returns a flag's value: lists as tuples, ~ expanded to the home folder."""
  value = values[name].value
  if isinstance(value, str) and value.startswith('~'):
    return os.path.expanduser(value)
  return tuple(value) if isinstance(value, list) else value


def format_help(
  kind: type[Flags], values: flags.FlagValues, description: str, program: str
) -> str:
  """Formats the text of --help: a command and its flags, by group.

  It shows the defaults of the chosen preset. Commands without presets take
  missing settings from a run.

  Args:
    kind: The flags of the command.
    values: The same, after parsing.
    description: The description of the command.
    program: The program, as the user calls it.
  """
  own = sorted(settings_of(kind), key=lambda field: field.name)
  groups = {
    title: [field for field in fields if field.name in kind.settings]
    for title, fields in fields_by_group().items()
  } | {'This command': own}
  defaults = {field.name: field.default for field in own}
  if 'preset' in kind.settings:
    try:
      defaults |= config_of(_given(kind, values)).flat()
    except UserError:  # The command itself will report it.
      defaults |= Config().flat()
  lines = [description.strip(), '', f'Usage: {program} [--flag=value ...]']
  for title, fields in groups.items():
    lines += ['', f'{title}:'] if fields else []
    for field in fields:
      lines.append(f'  {spelled(field.name, defaults.get(field.name))}')
      lines.append(f'      {_help(field)}')
  return '\n'.join(lines)


def spelled(name: str, value: Any) -> str:
  """Formats a flag with its value, such as --epochs=30."""
  if value is None or value is REQUIRED:
    value = ''
  elif isinstance(value, bool):
    value = str(value).lower()
  elif isinstance(value, tuple):
    value = ','.join(value)
  return f'--{name}={value}'
