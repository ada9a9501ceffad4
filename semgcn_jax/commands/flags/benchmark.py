"""Benchmarks training and prediction: speed, compile time, memory."""

import dataclasses
import pathlib

from semgcn_jax.commands.flags.shared import CacheFlags
from semgcn_jax.commands.parsing import EVERY_SETTING, config_of
from semgcn_jax.config.fields import POSITIVE, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.runs.folder import check_output


@dataclasses.dataclass(frozen=True)
class Flags(CacheFlags):
  """The flags of the command."""

  settings = EVERY_SETTING
  batch_sizes: tuple[str, ...] = setting(
    ('64', '1024'), 'Time training with these batch sizes.'
  )
  forward_batch_sizes: tuple[str, ...] = setting(
    ('1', '1024'), 'Time predictions with these batch sizes.'
  )
  precisions: tuple[str, ...] = setting(
    ('highest',), 'Time these values of --precision.'
  )
  devices: tuple[str, ...] = setting(
    (), 'Train on these numbers of devices; if empty, on all.'
  )
  seeds: tuple[str, ...] = setting(
    ('1',), 'Train these numbers of seeds in one program.'
  )
  epoch_batch_sizes: tuple[str, ...] = setting(
    (), 'Time an epoch of --num_poses poses with these batch sizes.'
  )
  image_worker_counts: tuple[str, ...] = setting(
    (),
    'Time only how fast these numbers of processes read the training images of'
    ' --dataset; 0 uses threads.',
  )
  plain_backbone: bool = setting(
    False,
    'With --backbone=resnet50, also time a plain linen ResNet-50 with a 2D head'
    ' at the first batch size.',
  )
  num_poses: int = setting(
    100_000, 'Put this many random training poses on the device.', POSITIVE
  )
  repeats: int = setting(10, 'Take the median of this many runs.', POSITIVE)
  output: str | None = setting(None, 'Write the rows to this JSON file.')

  def validate(self) -> None:
    """Checks what can be checked before anything is measured."""
    if self.given.get('task') == 'regression':
      raise SettingError(
        '`task=regression`: only poses are timed; leave it out'
      )
    if 'num_seeds' in self.given:
      raise SettingError('`num_seeds`: use `seeds`')
    config_of(self.given)
    if self.output:
      check_output(pathlib.Path(self.output))
