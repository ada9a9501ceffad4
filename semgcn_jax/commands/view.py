"""Shows poses: as a page, a picture, an animation, or a file for animators.

The poses are those that predict.py has written, or the test poses of a run,
beside their truth.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax.commands.outputs import (
  check_output_flags,
  define_output_flags,
  write_chosen,
)
from semgcn_jax.commands.parsing import (
  config_flags,
  define_cache_flag,
  define_checkpoint_flag,
  define_config_flags,
  define_which_flags,
)
from semgcn_jax.commands.running import run, use_compilation_cache
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.test_clips import predict_clips
from semgcn_jax.formats import pose_files
from semgcn_jax.formats.writers import WRITERS
from semgcn_jax.geometry.rates import check_fps
from semgcn_jax.pictures.videos import read_album

# Files of poses are made by predict.py, and read here.
ENDINGS = tuple(
  ending for ending in WRITERS if ending not in pose_files.ENDINGS
)


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_config_flags(
    values,
    *('data_dir', 'actions', 'test_subjects', 'test_downsample', 'cameras'),
    *('keypoints', 'image_dir', 'flip_test'),
  )
  define_cache_flag(values)
  define_which_flags(values)
  define_checkpoint_flag(values, 'Show the test poses of', default=None)
  define_output_flags(values, ENDINGS)
  for name, text in (
    ('poses', 'Show the poses in this file, .json or .npz, of predict.py.'),
    ('pictures', 'Show 2D poses on this picture, or on this video.'),
  ):
    flags.DEFINE_string(name, None, text, flag_values=values)
  flags.DEFINE_float(
    'fps',
    None,
    'Say how many frames a second has; if not given, the file of the poses'
    ' tells it, and for a run it is 10.',
    flag_values=values,
  )


def view(values: flags.FlagValues) -> None:
  """Shows what the flags name.

  Raises:
    SettingError: A flag is wrong.
    UserError: A file is damaged or not usable.
  """
  check_output_flags(values, ENDINGS)
  if (values.poses is None) == (values.checkpoint is None):
    raise SettingError('give `poses` or `checkpoint`, one of both')
  if values.fps is not None:
    check_fps(values.fps)
  if values.checkpoint is not None:
    if values.pictures is not None:
      raise SettingError('`pictures`: has no meaning with `checkpoint`')
    use_compilation_cache(values)
    clips = predict_clips(
      values.checkpoint,
      values.which,
      config_flags(values),
      seed=values.only_seed,
    )
    title = f'{pathlib.PurePath(values.checkpoint).name}: test poses'
  else:
    if given := config_flags(values):
      raise SettingError(f'`{[*given][0]}`: has no meaning with `poses`')
    path = pathlib.Path(values.poses)
    clips, _ = pose_files.read_poses(path)
    title = path.name
    if values.pictures is not None:
      album = read_album(pathlib.Path(values.pictures))
      if len(clips) > 1 and not values.clip:
        raise SettingError(
          '`pictures`: are of one clip; choose it by `clip` from'
          f' {", ".join(clip.name for clip in clips)}'
        )
      clips = [dataclasses.replace(clip, pictures=album) for clip in clips]
  if values.fps is not None:
    clips = [dataclasses.replace(clip, fps=values.fps) for clip in clips]
  write_chosen(values, clips, title=title)
  print(values.output)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, view, argv)
