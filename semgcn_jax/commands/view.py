"""Shows poses as a page, an image, an animation, or a file for animators.

The poses are those that predict.py wrote, or the test poses of a run beside the
ground truth.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

from semgcn_jax.commands import outputs, shared_flags
from semgcn_jax.commands.running import run
from semgcn_jax.config.fields import FPS, setting
from semgcn_jax.detections.clips import Clip
from semgcn_jax.errors import SettingError, listed, printable
from semgcn_jax.evaluation.predictions import predict_clips
from semgcn_jax.files import split_paths
from semgcn_jax.formats import pose_files
from semgcn_jax.formats.writers import WRITERS
from semgcn_jax.pictures.videos import read_album

# Files of poses are written by predict.py, and read here.
ENDINGS = tuple(name for name in WRITERS if name not in pose_files.ENDINGS)


@dataclasses.dataclass(frozen=True)
class ViewFlags(outputs.ClipFlags):
  """The flags of the command."""

  settings = (
    *('data_dir', 'actions', 'test_subjects', 'test_downsample', 'cameras'),
    *('keypoints', 'image_dir', 'flip_test'),
  )
  checkpoint: str | None = shared_flags.checkpoint_setting(
    'Show the test poses of', None
  )
  output: str = outputs.output_setting(ENDINGS)
  poses: str | None = setting(
    None,
    'Show the poses in this .json or .npz file of predict.py, or in several,'
    ' such as a.json,b.json.',
  )
  pictures: str | None = setting(
    None, 'Show the 2D poses on this image or video.'
  )
  fps: float | None = setting(
    None,
    'Set the frame rate; by default that in --poses, or 10 for runs.',
    FPS,
  )


def view(flags: ViewFlags) -> None:
  """Shows what the flags name."""
  files = ()
  if flags.poses is not None:
    files = split_paths(flags.poses, pose_files.ENDINGS, 'poses')
  inputs = *map(str, files), flags.pictures
  paths = outputs.check_output_flags(flags, ENDINGS, inputs)
  if (flags.poses is None) == (flags.checkpoint is None):
    raise SettingError('give either `poses` or `checkpoint`')
  if flags.checkpoint is not None:
    if flags.pictures is not None:
      raise SettingError('`pictures`: has no meaning with `checkpoint`')
    shared_flags.use_compilation_cache(flags)
    clips = predict_clips(
      flags.checkpoint, flags.which, flags.given, seed=flags.only_seed
    )
    title = f'{pathlib.PurePath(flags.checkpoint).name}: test poses'
  else:
    assert flags.poses is not None
    if flags.given:
      name = next(iter(flags.given))
      raise SettingError(f'`{name}`: has no meaning with `poses`')
    clips = _read_files(files)
    title = listed(file.name for file in files)
    if flags.pictures is not None:
      album = read_album(pathlib.Path(flags.pictures))
      if len(clips) > 1 and not flags.clip:
        raise SettingError(
          '`pictures`: show one clip; choose it by `clip` from'
          f' {listed(clip.name for clip in clips)}'
        )
      clips = [dataclasses.replace(clip, pictures=album) for clip in clips]
  if flags.fps is not None:
    clips = [dataclasses.replace(clip, fps=flags.fps) for clip in clips]
  outputs.write_chosen(flags, clips, paths, title=title)
  print(printable(flags.output))


def _read_files(files: Sequence[pathlib.Path]) -> list[Clip]:
  """Reads the clips of files of poses; a name that two share gets a number."""
  clips, taken = [], set[str]()
  for file in files:
    for clip in pose_files.read_poses(file)[0]:
      names = [clip.name, *(f'{clip.name}-{n}' for n in range(2, 1000))]
      name = next(name for name in names if name not in taken)
      taken.add(name)
      clips.append(dataclasses.replace(clip, name=name))
  return clips


main = functools.partial(run, __doc__, view, ViewFlags)
