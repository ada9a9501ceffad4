"""Draws the graph that a run has learned."""

import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax import weights
from semgcn_jax.commands.parsing import (
  define_checkpoint_flag,
  define_which_flags,
)
from semgcn_jax.commands.running import run
from semgcn_jax.errors import SettingError
from semgcn_jax.paper.learned_graph import show_learned


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_which_flags(values)
  define_checkpoint_flag(values, 'Draw the graph of', default=None)
  flags.DEFINE_string(
    'output_dir',
    None,
    'Write the figures to this folder; by default to that of the run.',
    flag_values=values,
  )
  flags.mark_flag_as_required('checkpoint', flag_values=values)


def show(values: flags.FlagValues) -> None:
  """Draws the graph of the run that the flags name."""
  if values.output_dir is None and values.checkpoint in weights.names():
    raise SettingError('`output_dir`: name a folder for the figures')
  show_learned(
    values.checkpoint,
    values.which,
    pathlib.Path(values.output_dir or values.checkpoint),
    seed=values.only_seed,
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, show, argv)
