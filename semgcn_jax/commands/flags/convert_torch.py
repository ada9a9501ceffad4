"""Converts checkpoints of the released PyTorch code to runs, and back.

With --backbone, it converts a torchvision ResNet, such as one trained on
ImageNet, to the npz for train.py's --backbone_weights.
"""

import dataclasses

from semgcn_jax.commands.flags.shared import RunFlags, check_exists
from semgcn_jax.commands.parsing import EVERY_SETTING
from semgcn_jax.config.fields import REQUIRED, setting


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
  """The flags of the command."""

  settings = EVERY_SETTING
  input: str = setting(
    REQUIRED,
    'Convert this checkpoint; with --to_torch, this run folder; with'
    ' --backbone, this weights file (.pth, .safetensors).',
  )
  output: str = setting(
    REQUIRED, 'Write this run folder; with --to_torch or --backbone, this file.'
  )
  to_torch: bool = setting(False, 'Convert a run to a checkpoint.')

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    check_exists('input', self.input)
