"""Writes clips to the files of --output."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from semgcn_jax.commands.flags.outputs import ClipFlags
from semgcn_jax.detections.clips import Clip
from semgcn_jax.formats.writers import Output, choose_people, write_clips


def check_programs(paths: Iterable[pathlib.Path]) -> None:
  """Raises a SettingError if a file needs a program that is not installed."""
  for path in paths:
    if path.suffix == '.mp4':
      # Matplotlib takes long to import.
      from semgcn_jax.figures.animation import check_ffmpeg

      check_ffmpeg(path)


def write_chosen(
  flags: ClipFlags,
  clips: Sequence[Clip],
  paths: tuple[pathlib.Path, ...],
  **fields: Any,
) -> None:
  """Writes the chosen clips; `title` and `details` are those of `Output`.

  Raises:
    SettingError: The output cannot be written, or a flag selects nobody.
    UserError: The clips do not suit the format.
  """
  fields |= {
    'new': not flags.overwrite,
    'pitch': flags.pitch,
    'joint_names': flags.joint_names,
    'bvh_unit': flags.bvh_unit,
  }
  output = Output(paths, **fields)
  write_clips(choose_people(clips, flags.clip, flags.person), output)
