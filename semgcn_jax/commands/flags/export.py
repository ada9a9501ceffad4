"""Exports the network of a run, without its optimizer.

A folder of weights works wherever a run folder does, but cannot be resumed. A
file F.onnx or F.stablehlo is the whole program from 2D to 3D, which runs
without this package; see docs/exporting.md.
"""

import dataclasses
import pathlib

from semgcn_jax import weights
from semgcn_jax.commands.flags.shared import RunFlags, checkpoint_setting
from semgcn_jax.config.fields import REQUIRED, Range, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.runs.folder import check_output, check_output_folder


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
  """The flags of the command."""

  checkpoint: str = checkpoint_setting('Write the weights of', REQUIRED)
  output: str = setting(
    REQUIRED, 'Write this folder, or this file ending in .onnx or .stablehlo.'
  )
  joint_set: str | None = setting(
    None,
    'For a file of a network that lifts several joint sets, take this one; by'
    ' default coco.',
  )
  frames: int | None = setting(
    None,
    'For a file of a network that sees time, take clips of this many frames; by'
    ' default 128, or, if it is causal, one frame after another.',
    Range('from 1 to 1000', lambda x: 1 <= x <= 1000),
  )
  benchmark: bool = setting(
    False, "Benchmark the file, and print its speed beside JAX's."
  )
  calibrate: str = setting(
    '',
    'For a folder, scale the expected errors to the mean of the actual ones on'
    ' this file, made by prepare_data.py --film.',
  )

  @property
  def ending(self) -> str:
    """The ending of the file to write, or '' for a folder."""
    ending = pathlib.PurePath(self.output).suffix.lower()
    return ending if ending in ('.onnx', '.stablehlo') else ''

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    output = pathlib.Path(self.output)
    if self.ending:
      if self.calibrate:
        raise SettingError(
          '`calibrate`: is for a folder; export one, and make the file from it'
        )
      check_output(output, new=True)
    # An ending such as .v2 is part of a folder's name.
    elif output.suffix[1:].isalpha():
      raise SettingError(
        f'`output={output}`: end the name of a file in .onnx or .stablehlo, or'
        ' name a folder without an ending'
      )
    else:
      for name in ('joint_set', 'frames', 'benchmark'):
        if getattr(self, name):
          raise SettingError(
            f'`{name}`: is for a file; end `output` in .onnx or .stablehlo'
          )
      check_output_folder(output)
    weights.find(self.checkpoint)
