"""Draws the graph of the run that the flags of show_learned.py name."""

import pathlib

from semgcn_jax.commands.flags.show_learned import Flags
from semgcn_jax.paper.learned_graph import show_learned


def main(flags: Flags) -> None:
  """Draws the graph of the run in the flags."""
  show_learned(
    flags.checkpoint,
    flags.which,
    pathlib.Path(flags.output_dir or flags.checkpoint),
    seed=flags.only_seed,
  )
