"""Makes the files that training reads from those that one can download.

With --verify it checks files instead: what they hold, and whether training can
use them.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax.commands.running import run
from semgcn_jax.errors import SettingError
from semgcn_jax.prepare.convert import Options, prepare
from semgcn_jax.prepare.verify import verify


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  flags.DEFINE_string(
    'source',
    None,
    'Convert this archive, or folder of files and archives: Human3.6M, its'
    ' stacked hourglass detections, the CMU database, or the output of a'
    ' detector.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'output_dir', 'data', 'Write the files to this folder.', flag_values=values
  )
  flags.DEFINE_bool(
    'overwrite', False, 'Replace files that exist.', flag_values=values
  )
  flags.DEFINE_string(
    'verify',
    None,
    'Check the files in this folder, and make none.',
    flag_values=values,
  )
  flags.DEFINE_float(
    'fps', 10, 'Keep so many frames per second of CMU.', flag_values=values
  )
  flags.DEFINE_string(
    'rates',
    None,
    'Read the frames per second of CMU clips that do not have 120 from this CSV'
    ' file.',
    flag_values=values,
  )
  flags.DEFINE_enum(
    'clips',
    'benchmark',
    ['benchmark', 'all'],
    'Convert the CMU clips of the benchmark, or all.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'dataset',
    'h36m',
    'Say which dataset the detections are of.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'keypoints', '', 'Give the detections this name.', flag_values=values
  )
  flags.DEFINE_string(
    'joint_set',
    '',
    'Say which joints were detected; if empty, their number tells.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'cameras',
    '',
    'Check a dataset of your own by the cameras in this JSON file.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'skeleton',
    'h36m',
    'Check a dataset of your own by this skeleton, a name or a JSON file.',
    flag_values=values,
  )


def prepare_data(values: flags.FlagValues) -> None:
  """Makes or checks files, as the flags say."""
  if bool(values.source) == bool(values.verify):
    raise SettingError('give `source` to make files, or `verify` to check some')
  if values.verify:
    verify(
      pathlib.Path(values.verify),
      cameras=values.cameras,
      skeleton=values.skeleton,
    )
    return
  options = Options(
    fps=values.fps,
    benchmark=values.clips == 'benchmark',
    rates=pathlib.Path(values.rates) if values.rates else None,
    dataset=values.dataset,
    keypoints=values.keypoints,
    joint_set=values.joint_set,
    overwrite=values.overwrite,
  )
  prepare(pathlib.Path(values.source), pathlib.Path(values.output_dir), options)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns its exit status."""
  return run(__doc__, define_flags, prepare_data, argv)
