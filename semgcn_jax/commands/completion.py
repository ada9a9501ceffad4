"""Prints the scripts that complete commands."""

import importlib

from semgcn_jax.commands import parsing
from semgcn_jax.commands.entry import COMMANDS, LOOKS_AFTER
from semgcn_jax.commands.flags.completion import Flags

_BASH = """_semgcn() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} words
  if [ "$COMP_CWORD" = 1 ]; then
    words="{commands} --help --version"
  else
    case "$command" in
{cases}
    esac
  fi
  compopt -o nospace 2>/dev/null
  if [ "$COMP_CWORD" = 1 ]; then compopt +o nospace 2>/dev/null; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _semgcn semgcn
"""
_FISH_COMMAND = "complete -c semgcn -n __fish_use_subcommand -f -a {} -d '{}'"
_FISH = (
  "complete -c semgcn -n '__fish_seen_subcommand_from {}' -l {} -r -d '{}'"
)


def main(flags: Flags) -> None:
  """Prints the script."""
  flags_of = {}
  for name in (*COMMANDS, *LOOKS_AFTER):
    module = importlib.import_module(f'semgcn_jax.commands.flags.{name}')
    flags_of[name.replace('_', '-')] = parsing.help_of(module.Flags)
  if flags.shell == 'fish':
    print('\n'.join(_fish_lines(flags_of)))
    return
  cases = '\n'.join(
    f'      {command}) words="{" ".join(f"--{name}=" for name in own)}" ;;'
    for command, own in flags_of.items()
  )
  if flags.shell == 'zsh':
    print('autoload -U +X bashcompinit && bashcompinit')
  print(_BASH.format(commands=' '.join(flags_of), cases=cases), end='')


def _fish_lines(flags_of: dict[str, dict[str, str]]) -> list[str]:
  """Formats the lines of a script for fish."""
  texts = {n.replace('_', '-'): t for n, t in (COMMANDS | LOOKS_AFTER).items()}
  lines = [
    _FISH_COMMAND.format(name, _quoted(text)) for name, text in texts.items()
  ]
  for command, own in flags_of.items():
    lines += [
      _FISH.format(command, name, _quoted(text)) for name, text in own.items()
    ]
  return lines


def _quoted(text: str) -> str:
  """Escapes text for single quotes of fish."""
  return text.replace('\\', '\\\\').replace("'", "\\'")
