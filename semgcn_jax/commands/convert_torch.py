"""Converts checkpoints of the released PyTorch code to runs, or the reverse."""

import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax.commands.parsing import (
  config_flags,
  define_config_flags,
  define_which_flags,
)
from semgcn_jax.commands.running import run
from semgcn_jax.interchange.torch_runs import export_run, import_run


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_config_flags(values)
  define_which_flags(values)
  flags.DEFINE_string(
    'input',
    None,
    'Convert this checkpoint, or with --to_torch this run folder.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'output',
    None,
    'Make this run folder, or with --to_torch this file.',
    flag_values=values,
  )
  flags.DEFINE_bool(
    'to_torch', False, 'Convert a run to a checkpoint.', flag_values=values
  )
  flags.mark_flags_as_required(['input', 'output'], flag_values=values)


def convert(values: flags.FlagValues) -> None:
  """Converts what the flags name."""
  source, output = pathlib.Path(values.input), pathlib.Path(values.output)
  if values.to_torch:
    export_run(source, values.which, output, values.only_seed)
  else:
    import_run(source, output, config_flags(values))


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, convert, argv)
