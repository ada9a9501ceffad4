"""The flags of commands that write people, or another file, to --output."""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

from semgcn_jax.commands.parsing import Flags
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError, listed
from semgcn_jax.figures.animation import check_ffmpeg
from semgcn_jax.files import check_output
from semgcn_jax.formats import writers


def output_setting(endings: Iterable[str]) -> Any:
  """Describes --output of a command that writes files of these endings."""
  return setting(
    REQUIRED,
    f'Write to this file, whose ending says what: {", ".join(endings)}.',
  )


@dataclasses.dataclass(frozen=True)
class OutputFlags(Flags):
  """The flags of `check_output_flags`."""

  output: str = setting(REQUIRED, 'Write to this file.')
  overwrite: bool = setting(False, 'Replace the output if it exists.')


@dataclasses.dataclass(frozen=True)
class PeopleFlags(OutputFlags, writers.Options):
  """The flags of commands that write people."""


def check_output_flags(
  flags: OutputFlags, endings: Iterable[str]
) -> pathlib.Path:
  """Checks the output before work begins, and returns its path.

  Raises:
    SettingError: The output exists, or cannot be written.
  """
  output = pathlib.Path(flags.output)
  check_output(output)
  if output.suffix not in endings:
    raise SettingError(f'`output={output}`: must end with {listed(endings)}')
  if output.exists() and not flags.overwrite:
    raise SettingError(f'`output={output}`: exists; give `overwrite`')
  check_ffmpeg(output)
  return output
