"""Command lines: groups of settings become flags, and flags become groups."""

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
  """A command line that cannot be understood; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Flags(Group):
  """The flags of a command, which inherits and declares its own as settings.

  Attributes:
    settings: The names of the settings of `Config` that it takes besides.
    renamed: {the old name of a flag, which goes on working: the new one}.
    given: Those settings of `Config` that were given, by their names.
  """

  settings: ClassVar[Sequence[str]] = ()
  renamed: ClassVar[Mapping[str, str]] = {}
  given: dict[str, Any] = dataclasses.field(default_factory=dict, kw_only=True)


F = TypeVar('F', bound=Flags)


def config_of(given: Mapping[str, Any]) -> Config:
  """Makes the config of the settings that were given, of which one is a preset.

  Raises:
    UserError: A setting is wrong, or the run that one names is damaged.
  """
  settings = dict(given)
  return preset(settings.pop('preset', Config.preset), **settings)


def define(kind: type[Flags]) -> flags.FlagValues:
  """Defines the flags of a command, and --help."""
  values = flags.FlagValues()
  flags.DEFINE_bool(
    'help', False, 'Show this help.', short_name='h', flag_values=values
  )
  for field in settings_of(kind):
    _define(field, field.default, values)
  for name in kind.settings:
    # What is not given, the preset or the run tells.
    _define(_OF_CONFIG[name], None, values)
  for old, new in kind.renamed.items():
    flags.DEFINE_alias(old, new, flag_values=values)
  return values


def _define(
  field: dataclasses.Field, default: Any, values: flags.FlagValues
) -> None:
  """Defines the flag of a setting, whose range the group checks."""
  define = _DEFINE[kind_of(field)]
  if default is REQUIRED:
    define(field.name, None, _help(field), values, required=True)
  else:
    # absl reads a tuple as if it were text.
    default = list(default) if isinstance(default, tuple) else default
    define(field.name, default, _help(field), flag_values=values)


def _help(field: dataclasses.Field) -> str:
  """Makes the help of a setting, which ends with its choices."""
  choices = PRESETS if field.name == 'preset' else field.metadata['choices']
  choices = ', '.join(filter(None, choices))
  return field.metadata['help'] + (f' One of {choices}.' if choices else '')


def parse(
  kind: type[Flags], values: flags.FlagValues, argv: Sequence[str]
) -> None:
  """Parses a command line.

  Args:
    kind: The flags of the command.
    values: The same, which get their values.
    argv: The command line, of which argv[0] is the program.

  Raises:
    UsageError: The command line cannot be understood.
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


def read(kind: type[F], values: flags.FlagValues) -> F:
  """Makes the group of a command from its flags, after parsing.

  Raises:
    SettingError: The value of a flag is out of its range.
  """
  for old, new in kind.renamed.items():
    if values[old].present:
      _log.warning('--%s is now called --%s', old, new)
  own = {f.name: _value(values, f.name) for f in settings_of(kind)}
  return kind(**own, given=_given(kind, values))


def _given(kind: type[Flags], values: flags.FlagValues) -> dict[str, Any]:
  """Collects the settings of `Config` that were given."""
  settings = {name: _value(values, name) for name in kind.settings}
  return {name: v for name, v in settings.items() if v is not None}


def _value(values: flags.FlagValues, name: str) -> Any:
  """Reads a flag; lists become tuples, and a leading ~ the home folder."""
  value = values[name].value
  if isinstance(value, str) and value.startswith('~'):
    return os.path.expanduser(value)
  return tuple(value) if isinstance(value, list) else value


def format_help(
  kind: type[Flags], values: flags.FlagValues, description: str, program: str
) -> str:
  """Makes the text of --help: a command and its flags, by group.

  The default that it shows of a setting is that of the chosen preset. Commands
  without presets take settings that are not given from a run.

  Args:
    kind: The flags of the command.
    values: The same, after parsing.
    description: The sentences about the command.
    program: The program, as it is called.
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
    except UserError:  # The command itself will say what is wrong.
      defaults |= Config().flat()
  lines = [description.strip(), '', f'Usage: {program} [--flag=value ...]']
  for title, fields in groups.items():
    lines += ['', f'{title}:'] if fields else []
    for field in fields:
      lines.append(f'  {spelled(field.name, defaults.get(field.name))}')
      lines.append(f'      {_help(field)}')
  return '\n'.join(lines)


def spelled(name: str, value: Any) -> str:
  """Spells a flag with its value, such as --epochs=30."""
  if value is None or value is REQUIRED:
    value = ''
  elif isinstance(value, bool):
    value = str(value).lower()
  elif isinstance(value, tuple):
    value = ','.join(value)
  return f'--{name}={value}'
