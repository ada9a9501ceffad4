"""Retrains the methods of the paper's tables and compares them."""

import functools
import pathlib
import shlex
import sys
from collections.abc import Sequence

from absl import flags

from semgcn_jax.commands.parsing import (
  config_flags,
  define_cache_flag,
  define_config_flags,
)
from semgcn_jax.commands.running import (
  program_name,
  run,
  use_compilation_cache,
)
from semgcn_jax.config import Config
from semgcn_jax.paper.reproduce import reproduce

# Flags that belong to a machine: the report's command line leaves them out.
_FOLDERS = (
  *('workdir', 'data_dir', 'compilation_cache', 'cameras', 'skeleton'),
  *('image_dir', 'backbone_weights', 'rendered_motions'),
)


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_config_flags(values)
  define_cache_flag(values)
  flags.DEFINE_list(
    'tables',
    ['1', '3'],
    'Retrain the methods of these tables of the paper: 1 and 3, which are given'
    ' the 2D, or 2, from pictures; or of video, which see time.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'workdir',
    'runs/reproduce',
    'Keep the runs and the report in this folder.',
    flag_values=values,
  )


def retrain(values: flags.FlagValues, program: str) -> None:
  """Retrains the methods that the flags choose.

  Args:
    values: The flags; --preset may list several presets, with commas.
    program: The program, as argv[0] names it.
  """
  use_compilation_cache(values)
  overrides = config_flags(values)
  presets = overrides.pop('preset', Config.preset).split(',')
  words = [
    values[name].serialize()
    for name in sorted(values)
    if values[name].present and name not in _FOLDERS
  ]
  reproduce(
    presets,
    values.tables,
    overrides,
    pathlib.Path(values.workdir),
    f'{program_name(program)} {shlex.join(words)}',
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  argv = sys.argv if argv is None else argv
  command = functools.partial(retrain, program=argv[0])
  return run(__doc__, define_flags, command, argv)
