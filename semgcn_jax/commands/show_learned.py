"""Draws the graph that a run has learned."""

import dataclasses
import functools
import pathlib

from semgcn_jax import weights
from semgcn_jax.commands.running import run
from semgcn_jax.commands.shared_flags import RunFlags, checkpoint_setting
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.paper.learned_graph import show_learned


@dataclasses.dataclass(frozen=True)
class ShowLearnedFlags(RunFlags):
  """The flags of the command."""

  checkpoint: str = checkpoint_setting('Draw the graph of', REQUIRED)
  output_dir: str | None = setting(
    None, 'Write the figures to this folder; by default to the run folder.'
  )


def show(flags: ShowLearnedFlags) -> None:
  """Draws the graph of the run in the flags."""
  if flags.output_dir is None and flags.checkpoint in weights.names():
    raise SettingError('`output_dir`: name a folder for the figures')
  show_learned(
    flags.checkpoint,
    flags.which,
    pathlib.Path(flags.output_dir or flags.checkpoint),
    seed=flags.only_seed,
  )


main = functools.partial(run, __doc__, show, ShowLearnedFlags)
