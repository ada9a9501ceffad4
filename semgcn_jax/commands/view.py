"""Shows poses: as a page, a picture, an animation, or a file for animators.

The poses are those that predict.py has written, or the test poses of a run,
beside their truth.
"""

import dataclasses
import functools
import pathlib

from semgcn_jax.commands.outputs import (
  PeopleFlags,
  check_output_flags,
  output_setting,
)
from semgcn_jax.commands.running import run
from semgcn_jax.commands.shared_flags import (
  CacheFlags,
  RunFlags,
  checkpoint_setting,
  use_compilation_cache,
)
from semgcn_jax.config.fields import BELOW_A_MILLION, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.test_clips import predict_clips
from semgcn_jax.formats.pose_files import read_poses
from semgcn_jax.formats.writers import MOTION, SHOWN, write_people
from semgcn_jax.pictures.videos import read_album

ENDINGS = (*SHOWN, *MOTION)


@dataclasses.dataclass(frozen=True)
class ViewFlags(PeopleFlags, CacheFlags, RunFlags):
  """The flags of the command."""

  settings = (
    *('data_dir', 'actions', 'test_subjects', 'test_downsample', 'cameras'),
    *('keypoints', 'image_dir', 'flip_test'),
  )
  checkpoint: str | None = checkpoint_setting('Show the test poses of', None)
  output: str = output_setting(ENDINGS)
  poses: str | None = setting(
    None, 'Show the poses in this file, .json or .npz, of predict.py.'
  )
  pictures: str | None = setting(
    None, 'Show 2D poses on this picture, or on this video.'
  )
  fps: float | None = setting(
    None,
    'Say how many frames a second has; if not given, the file of the poses'
    ' tells it, and for a run it is 10.',
    BELOW_A_MILLION,
  )


def view(flags: ViewFlags) -> None:
  """Shows what the flags name.

  Raises:
    SettingError: A flag is wrong.
    UserError: A file is damaged or not usable.
  """
  check_output_flags(flags, ENDINGS)
  if (flags.poses is None) == (flags.checkpoint is None):
    raise SettingError('give `poses` or `checkpoint`, one of both')
  if flags.checkpoint is not None:
    if flags.pictures is not None:
      raise SettingError('`pictures`: has no meaning with `checkpoint`')
    use_compilation_cache(flags)
    clips = predict_clips(
      flags.checkpoint,
      flags.which,
      flags.given,
      seed=flags.only_seed,
    )
    write_people(
      flags,
      clips.people,
      fps=flags.fps or 10.0,
      details={},
      title=f'{pathlib.PurePath(flags.checkpoint).name}: test poses',
      skeleton=clips.skeleton,
      pitch=clips.pitch,
      albums=clips.albums,
    )
  elif flags.poses is not None:
    if flags.given:
      name = next(iter(flags.given))
      raise SettingError(f'`{name}`: has no meaning with `poses`')
    path = pathlib.Path(flags.poses)
    people, header = read_poses(path)
    albums = {}
    if flags.pictures is not None:
      album, _, _ = read_album(pathlib.Path(flags.pictures))
      albums = {person.clip: album for person in people}
      if len(albums) > 1 and not flags.clip:
        raise SettingError(
          '`pictures`: are of one clip; choose it by `clip` from'
          f' {", ".join(albums)}'
        )
    write_people(
      flags,
      people,
      fps=flags.fps or header['fps'],
      details=header,
      title=path.name,
      albums=albums,
    )
  print(flags.output)


main = functools.partial(run, __doc__, view, ViewFlags)
