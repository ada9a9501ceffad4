"""Writes a web page that runs a network: drag keypoints, and the 3D follows.

A network for streams, such as cmu-stream, runs frame by frame; --detections
adds keypoints to play.

It fetches ONNX Runtime Web (onnxruntime-web, MIT) through npm, and needs the
extra onnx.
"""

import dataclasses

from semgcn_jax import weights
from semgcn_jax.commands.flags.outputs import OutputFlags, check_output_flags
from semgcn_jax.commands.flags.shared import (
  RunFlags,
  check_exists,
  checkpoint_setting,
)
from semgcn_jax.commands.flags.sources import read_size
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError


@dataclasses.dataclass(frozen=True)
class Flags(OutputFlags, RunFlags):
  """The flags of the command."""

  checkpoint: str = checkpoint_setting('Put on the page', 'cmu')
  output: str = setting(
    REQUIRED, 'Write the page to this file, which ends in .html.'
  )
  detections: str | None = setting(
    None,
    'Play the keypoints of the first person in this file, or in this folder of'
    ' one file per frame.',
  )
  image_size: str = setting(
    '',
    'Set the size of the images of --detections in pixels, such as 1920x1080;'
    ' if empty, the file must state it.',
  )
  runtime: str | None = setting(
    None,
    "Take ONNX Runtime from this folder, the npm package onnxruntime-web's"
    ' dist; by default, npm fetches it.',
  )

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    if check_output_flags(self, ('.html',))[1:]:
      raise SettingError(f'`output={self.output}`: name one file')
    if self.detections is None:
      if self.image_size:
        raise SettingError('`image_size`: has no meaning without `detections`')
    else:
      check_exists('detections', self.detections)
    read_size(self.image_size)
    weights.find(self.checkpoint)
