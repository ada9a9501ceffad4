"""Shows what the flags of view.py name."""

import dataclasses
import pathlib
from collections.abc import Sequence

from semgcn_jax.commands import outputs
from semgcn_jax.commands.flags.view import ENDINGS, Flags
from semgcn_jax.detections.clips import Clip
from semgcn_jax.errors import SettingError, listed, printable
from semgcn_jax.evaluation.predictions import predict_clips
from semgcn_jax.files import split_paths
from semgcn_jax.formats import pose_files
from semgcn_jax.pictures.videos import read_album


def main(flags: Flags) -> None:
  """Shows what the flags name."""
  paths = split_paths(flags.output, ENDINGS, 'output')
  outputs.check_programs(paths)
  if flags.checkpoint is not None:
    clips = predict_clips(
      flags.checkpoint, flags.which, flags.given, seed=flags.only_seed
    )
    title = f'{pathlib.PurePath(flags.checkpoint).name}: test poses'
  else:
    clips = _read_files(flags.files)
    title = listed(file.name for file in flags.files)
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
