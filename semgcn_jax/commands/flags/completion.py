"""Prints a script that completes the commands and flags of semgcn in a shell.

Keep it where the shell looks for such scripts, for bash in
~/.local/share/bash-completion/completions/semgcn; or load it at once with
`source <(semgcn completion)`.
"""

import dataclasses

from semgcn_jax.commands import parsing
from semgcn_jax.config.fields import setting


@dataclasses.dataclass(frozen=True)
class Flags(parsing.Flags):
  """The flags of the command."""

  shell: str = setting(
    'bash', 'Print the script for this shell.', choices=('bash', 'zsh', 'fish')
  )
