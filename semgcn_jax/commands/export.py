"""Writes the network of a run as a small folder of weights.

The folder serves wherever that of a run does, but cannot be resumed.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax.commands.parsing import (
  define_checkpoint_flag,
  define_which_flags,
)
from semgcn_jax.commands.running import run
from semgcn_jax.runs.checkpoints import restore_network
from semgcn_jax.runs.weights import save_weights


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_checkpoint_flag(values, 'Write the weights of', default=None)
  define_which_flags(values)
  flags.DEFINE_string('output', None, 'Make this folder.', flag_values=values)
  flags.mark_flags_as_required(['checkpoint', 'output'], flag_values=values)


def export(values: flags.FlagValues) -> None:
  """Writes the weights that the flags name."""
  network = restore_network(values.checkpoint, values.which)
  variables = network.of_seed(values.only_seed)
  training = network.config.training
  seed = training.seed if values.only_seed is None else values.only_seed
  config = network.config.replace(seed=seed, num_seeds=1)
  output = pathlib.Path(values.output)
  save_weights(
    output, config, network.skeleton, variables, network.progress.epoch
  )
  print(f'{output}: weights of epoch {network.progress.epoch}')


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, export, argv)
