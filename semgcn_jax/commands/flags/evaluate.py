"""Scores a checkpoint of a run, and prints the errors of every action.

Settings default to those of the run.
"""

import dataclasses
import pathlib

from semgcn_jax import weights
from semgcn_jax.commands.flags.shared import (
  CacheFlags,
  RunFlags,
  checkpoint_setting,
)
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.runs.folder import check_output


@dataclasses.dataclass(frozen=True)
class Flags(CacheFlags, RunFlags):
  """The flags of the command."""

  settings = (
    *('data_dir', 'keypoints', 'actions', 'test_subjects', 'test_downsample'),
    *('cameras', 'image_dir', 'eval_batch_size', 'scale_calibration'),
    'flip_test',
  )
  checkpoint: str = checkpoint_setting('Score', REQUIRED)
  weights: str = setting(
    'averaged',
    'Use the averaged or the raw weights of a run that has both.',
    choices=('averaged', 'raw'),
  )
  baselines: bool = setting(
    False,
    'Score the mean and linear maps, fitted to the training pairs, beside the'
    ' network.',
  )
  output: str | None = setting(None, 'Write the scores to this JSON file.')
  figure: str | None = setting(
    None,
    'Draw test poses to this PNG file: the 2D, and the predicted and true 3D.',
  )
  wild: str | None = setting(
    None,
    'Score on this npz of keypoints from unknown cameras, which'
    " prepare_data.py --film writes, not on the run's dataset.",
  )
  real: str | None = setting(
    None,
    'Score on the real clips in this folder, whose layout docs/real.md'
    " describes, not on the run's dataset.",
  )
  use_focal: bool = setting(
    False, 'With --wild or --real, give the network the lens.'
  )
  solve: bool = setting(
    False, 'With --wild or --real, solve the clips as predict.py does.'
  )

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    for name in ('output', 'figure'):
      if path := getattr(self, name):
        check_output(pathlib.Path(path), name)
    if self.wild and self.real:
      raise SettingError('give either `wild` or `real`')
    source = 'wild' if self.wild else 'real' if self.real else None
    own = [n for n in ('figure', 'baselines') if getattr(self, n)]
    if source:
      for name in (*self.given, *own):
        raise SettingError(f'`{name}`: has no meaning with `{source}`')
    weights.find(self.checkpoint)
