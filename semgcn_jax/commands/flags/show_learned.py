"""Draws the graph that a run has learned."""

import dataclasses

from semgcn_jax import weights
from semgcn_jax.commands.flags.shared import RunFlags, checkpoint_setting
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
  """The flags of the command."""

  checkpoint: str = checkpoint_setting('Draw the graph of', REQUIRED)
  output_dir: str | None = setting(
    None, 'Write the figures to this folder; by default to the run folder.'
  )

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    if self.output_dir is None and self.checkpoint in weights.names():
      raise SettingError('`output_dir`: name a folder for the figures')
    weights.find(self.checkpoint)
