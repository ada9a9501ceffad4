"""Makes the files that training reads from files that can be downloaded.

With --verify it checks files instead: it says what they hold, and whether
training can use them. With --film it films poses by unknown cameras.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax.commands.running import run
from semgcn_jax.errors import SettingError
from semgcn_jax.prepare.convert import Options, prepare
from semgcn_jax.prepare.film import film
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
  flags.DEFINE_string(
    'film',
    None,
    'Film the poses of this data_3d_*.npz by unknown cameras, as the keypoints'
    " of a detector, and write them to --output, for evaluate.py's --wild.",
    flag_values=values,
  )
  flags.DEFINE_string(
    'output', None, 'With --film, write this npz.', flag_values=values
  )
  flags.DEFINE_list(
    'subjects',
    [],
    'With --film, film these subjects; if empty, all.',
    flag_values=values,
  )
  flags.DEFINE_integer(
    'seed', 0, 'With --film, seed the cameras.', 0, flag_values=values
  )
  flags.DEFINE_float(
    'fps',
    10,
    'Keep this many frames per second of CMU clips.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'rates',
    None,
    'Read from this CSV file the frames per second of those CMU clips that do'
    ' not have 120.',
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
    'Say which set of joints was detected; if empty, their number tells.',
    flag_values=values,
  )
  flags.DEFINE_integer(
    'first_frame',
    None,
    'Say which number the first frame of detections has; by default the first'
    ' one of all views of a clip.',
    lower_bound=0,
    flag_values=values,
  )
  flags.DEFINE_string(
    'cameras',
    '',
    'With --verify, check your own dataset with the cameras of this JSON file.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'skeleton',
    'h36m',
    'With --verify, check your own dataset with the skeleton of this name or'
    ' JSON file.',
    flag_values=values,
  )


def prepare_data(values: flags.FlagValues) -> None:
  """Makes or checks files, as the flags say.

  Raises:
    SettingError: A flag is wrong.
    UserError: A file is damaged or not usable.
  """
  if sum(map(bool, (values.source, values.verify, values.film))) != 1:
    raise SettingError(
      'give `source` to make files, `verify` to check some, or `film` to film'
      ' some'
    )
  if values.film:
    if not values.output:
      raise SettingError('`output`: name the npz to write')
    output = pathlib.Path(values.output)
    if output.exists() and not values.overwrite:
      raise SettingError(f'`output={output}`: exists; give `overwrite`')
    film(
      pathlib.Path(values.film),
      output,
      subjects=values.subjects,
      seed=values.seed,
    )
    return
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
    first_frame=values.first_frame,
    overwrite=values.overwrite,
  )
  prepare(pathlib.Path(values.source), pathlib.Path(values.output_dir), options)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, prepare_data, argv)
