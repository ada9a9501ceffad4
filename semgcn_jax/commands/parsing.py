"""The flags of the commands: those of `Config`, others, and their --help."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from absl import flags

from semgcn_jax import weights
from semgcn_jax.config import RENAMED, Config, fields_by_group
from semgcn_jax.config.presets import PRESETS, preset
from semgcn_jax.errors import UserError

_DEFINE = {
  bool: flags.DEFINE_bool,
  int: flags.DEFINE_integer,
  float: flags.DEFINE_float,
  str: flags.DEFINE_string,
  tuple: flags.DEFINE_list,
}


class UsageError(Exception):
  """A command line that cannot be understood; the message is one line."""


def define_config_flags(values: flags.FlagValues, *names: str) -> None:
  """Defines a flag for each of the named settings; without names, for all."""
  for fields in fields_by_group().values():
    for field in fields:
      if not names or field.name in names:
        define = _DEFINE[type(field.default)]
        define(field.name, None, _help(field), flag_values=values)


def _help(field: dataclasses.Field) -> str:
  """Makes the help of a setting, which ends with its choices."""
  choices = PRESETS if field.name == 'preset' else field.metadata['choices']
  choices = [choice for choice in choices if choice]
  return field.metadata['help'] + (
    f' One of {", ".join(choices)}.' if choices else ''
  )


def _settings(values: flags.FlagValues) -> dict[str, list[str]]:
  """Lists the flags of a command that are settings, by group.

  A flag of the command's own may have the name of a setting, such as the --fps
  of a clip; it has another help.
  """
  return {
    title: [
      field.name
      for field in fields
      if field.name in values and values[field.name].help == _help(field)
    ]
    for title, fields in fields_by_group().items()
  }


def config_flags(values: flags.FlagValues) -> dict[str, Any]:
  """Collects the settings that were given as flags."""
  given = {}
  for names in _settings(values).values():
    for name in names:
      value = values[name].value
      if value is not None:
        given[name] = tuple(value) if isinstance(value, list) else value
  return given


def config_from_flags(values: flags.FlagValues) -> Config:
  """Makes the config that the flags describe: a preset, and other settings.

  Raises:
    UserError: A setting is wrong, or the run that one names is damaged.
  """
  given = config_flags(values)
  return preset(given.pop('preset', Config.preset), **given)


def define_cache_flag(values: flags.FlagValues) -> None:
  """Defines --compilation_cache, for `running.use_compilation_cache`."""
  home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  flags.DEFINE_string(
    'compilation_cache',
    os.path.join(home, 'semgcn_jax'),
    'Keep compiled programs in this folder, for a faster start; if empty, keep'
    ' none.',
    flag_values=values,
  )


def define_process_flags(values: flags.FlagValues) -> None:
  """Defines the flags of several processes, for `running.join_processes`."""
  flags.DEFINE_bool(
    'distributed',
    False,
    'Train as one of several processes, which SLURM or Kubernetes has started.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'coordinator',
    None,
    'Train as one of several processes, of which the first is at this'
    ' host:port.',
    flag_values=values,
  )
  flags.DEFINE_integer(
    'num_processes',
    None,
    'Say how many processes there are.',
    1,
    flag_values=values,
  )
  flags.DEFINE_integer(
    'process_id',
    None,
    'Say which of the processes this is, from 0.',
    0,
    flag_values=values,
  )


def define_checkpoint_flag(
  values: flags.FlagValues, verb: str, default: str | None
) -> None:
  """Defines --checkpoint, the name of weights in the box or a run's folder."""
  flags.DEFINE_string(
    'checkpoint',
    default,
    f'{verb} the run in this folder, or the weights in the box of this name:'
    f' {", ".join(weights.names())}. A folder of the same name is ./<name>.',
    flag_values=values,
  )


def define_which_flags(values: flags.FlagValues) -> None:
  """Defines the flags that choose a checkpoint of a run, and a seed."""
  flags.DEFINE_string(
    'which',
    'best',
    'Take this checkpoint: best, last, or the number of an epoch.',
    flag_values=values,
  )
  flags.DEFINE_integer(
    'only_seed',
    None,
    'Take this seed of a run that has several.',
    flag_values=values,
  )


def parse(values: flags.FlagValues, argv: Sequence[str]) -> None:
  """Parses a command line.

  Args:
    values: The flags of the command, which get their values.
    argv: The command line, of which argv[0] is the program.

  Raises:
    UsageError: The command line cannot be understood.
  """
  flags.DEFINE_bool(
    'help', False, 'Show this help.', short_name='h', flag_values=values
  )
  try:
    rest = values(argv)
  except flags.Error as error:
    if {'--help', '-h'} & set(argv):
      values.mark_as_parsed()
      values['help'].value = True
      return
    name = getattr(error, 'flagname', '').removeprefix('no')
    now = RENAMED.get(name)
    if any(now in names for names in _settings(values).values()):
      raise UsageError(f'--{name}: is now called --{now}') from error
    raise UsageError(' '.join(str(error).split())) from error
  for name in values:
    value = values[name].value
    if isinstance(value, str) and value.startswith('~'):
      values[name].value = os.path.expanduser(value)
  if rest[1:]:
    raise UsageError(f'{rest[1]}: not a flag; flags start with --, see --help')


def format_help(
  values: flags.FlagValues, description: str, program: str
) -> str:
  """Makes the text of --help: a command and its flags, by group.

  The default that it shows of a setting is that of the chosen preset. Commands
  without presets take settings that are not given from a run.

  Args:
    values: The flags of the command, after parsing.
    description: The sentences about the command.
    program: The program, as it is called.
  """
  groups, own, defaults = {}, set(values), {}
  if 'preset' in values:
    try:
      defaults = config_from_flags(values).flat()
    except UserError:  # The command itself will say what is wrong.
      defaults = Config().flat()
  for title, names in _settings(values).items():
    groups[title] = [(name, defaults.get(name)) for name in names]
    own -= set(names)
  own -= {'h', 'help'}
  groups['This command'] = [
    (name, values[name].default) for name in sorted(own)
  ]
  lines = [description.strip(), '', f'Usage: {program} [--flag=value ...]']
  for title, entries in groups.items():
    if entries:
      lines += ['', f'{title}:']
    for name, default in entries:
      lines.append(f'  {_spelled(values[name], default)}')
      # absl begins the help of an enum by its choices, which the help says.
      lines.append(f'      {values[name].help.split(">: ")[-1]}')
  return '\n'.join(lines)


def _spelled(flag: flags.Flag, default: Any) -> str:
  """Spells a flag with its default, such as --epochs=30."""
  if flag.boolean and default is not None:
    default = 'true' if default else 'false'
  elif isinstance(default, list | tuple):
    default = ','.join(map(str, default))
  return f'--{flag.name}={"" if default is None else default}'
