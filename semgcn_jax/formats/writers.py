"""Writes clips in the format that a file's ending names."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import (
  SettingError,
  UserError,
  choose,
  counted,
  listed,
  printable,
)
from semgcn_jax.figures.animation import write_animation
from semgcn_jax.figures.page import page_html
from semgcn_jax.figures.poses import draw_grid
from semgcn_jax.figures.style import DPI
from semgcn_jax.files import write_output
from semgcn_jax.formats import pose_files
from semgcn_jax.formats.bvh_files import bvh_text
from semgcn_jax.formats.glb_files import glb_bytes
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.motion.rig import Motion, deviation, fit
from semgcn_jax.motion.upright import Scene, make_scenes

_MOST_NOTES = 10


@dataclasses.dataclass(frozen=True)
class Output:
  """A file to write.

  Attributes:
    path: The file; its ending determines the format.
    title: The title of a page.
    details: More fields for the header of pose files.
    pitch: The angle by which the camera looks down, degrees; see `make_scenes`.
    joint_names: The names of a rig's joints, a key of `rig.NAMES`.
    new: Whether the file must not exist.
  """

  path: pathlib.Path
  title: str = ''
  details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  pitch: float | None = None
  joint_names: str = 'h36m'
  new: bool = False


def write_clips(clips: Sequence[Clip], output: Output) -> None:
  """Writes clips atomically to a file with one of the endings of `WRITERS`.

  Raises:
    SettingError: The file cannot be written, or holds only one clip or person.
    UserError: The clips do not suit the format.
  """
  write = WRITERS[output.path.suffix]
  write_output(
    output.path, lambda path: write(clips, output, path), new=output.new
  )


def choose_people(
  clips: Sequence[Clip], clip: str = '', person: str = ''
) -> list[Clip]:
  """Selects a clip and a person by name; '' selects all that have people.

  Raises:
    SettingError: There is no such clip or person.
  """
  clips = [one for one in clips if one.people]
  if clip:
    clips = [choose('clip', clip, {one.name: one for one in clips})]
  if person:
    choose('person', person, {p.name: p for one in clips for p in one.people})
    clips = [
      dataclasses.replace(one, people=(p,))
      for one in clips
      for p in one.people
      if p.name == person
    ]
  return clips


def encoded(text: str) -> bytes:
  """Encodes text; file names may contain characters that cannot be encoded."""
  return text.encode('utf-8', errors='replace')


def _poses(clips: Sequence[Clip], output: Output, path: pathlib.Path) -> None:
  """Writes a file of poses."""
  content = pose_files.write_poses(clips, output.path, output.details)
  path.write_bytes(content)


def _page(clips: Sequence[Clip], output: Output, path: pathlib.Path) -> None:
  """Writes a page."""
  scenes = _scenes(clips, output)
  path.write_bytes(encoded(page_html(scenes, title=output.title)))


def _drawing(clips: Sequence[Clip], output: Output, path: pathlib.Path) -> None:
  """Draws a grid of poses."""
  figure = draw_grid(_scenes(clips, output))
  figure.savefig(path, format='png', dpi=DPI)


def _animation(
  clips: Sequence[Clip], output: Output, path: pathlib.Path
) -> None:
  """Animates the only clip."""
  scene = _one(_scenes(clips, output), output, 'clip')
  write_animation(scene, output.path, path)


def _bvh(clips: Sequence[Clip], output: Output, path: pathlib.Path) -> None:
  """Writes the motion of the only person."""
  scene = _one(_scenes(clips, output), output, 'clip')
  _one(scene.clip.people, output, 'person')
  (motion,) = _motions(scene, output).values()
  path.write_bytes(bvh_text(motion, output.joint_names).encode())


def _glb(clips: Sequence[Clip], output: Output, path: pathlib.Path) -> None:
  """Writes the motions of the people of the only clip."""
  scene = _one(_scenes(clips, output), output, 'clip')
  path.write_bytes(glb_bytes(_motions(scene, output), output.joint_names))


# {file ending: function that writes it}.
WRITERS = {
  **dict.fromkeys(pose_files.ENDINGS, _poses),
  '.html': _page,
  '.png': _drawing,
  '.gif': _animation,
  '.mp4': _animation,
  '.bvh': _bvh,
  '.glb': _glb,
}


def _scenes(clips: Sequence[Clip], output: Output) -> list[Scene]:
  """Builds the scenes of clips, and prints where their cameras look."""
  scenes = make_scenes(clips, pitch=output.pitch)
  for scene in scenes[:_MOST_NOTES]:
    print(printable(f'{scene.clip.name}: {scene.note}'))
  if len(scenes) > _MOST_NOTES:
    print(f'... and {counted(len(scenes) - _MOST_NOTES, "more clip")}')
  return scenes


def _one(things: Sequence[Any], output: Output, flag: str) -> Any:
  """Returns the only scene or person, for a format that holds one."""
  if len(things) == 1:
    return things[0]
  names = [getattr(thing, 'clip', thing).name for thing in things]
  raise SettingError(
    f'`output={output.path}`: holds one {flag}; choose one with `{flag}`:'
    f' {listed(names)}'
  )


def _motions(scene: Scene, output: Output) -> dict[str, Motion]:
  """Fits the rig to people, and prints the deviations.

  Raises:
    UserError: The skeleton is not `H36M`, or nobody has a whole pose.
  """
  clip = scene.clip
  if clip.skeleton != H36M:
    raise UserError(
      f'{output.path}: BVH and GLB need the skeleton h36m; write .html'
    )
  motions: dict[str, Motion] = {}
  for person, upright in zip(clip.people, scene.upright, strict=True):
    if not np.isfinite(upright.positions).all(axis=(1, 2)).any():
      print(printable(f'person {person.name}: left out, as no pose is whole'))
      continue
    positions = _all_frames(person, upright.positions)
    first = int(person.frames[0]) - clip.frames.start
    motion = fit(positions, clip.fps, first)
    motions[person.name] = motion
    off = 1000 * deviation(motion, positions)
    print(
      printable(
        f'person {person.name}: bones of constant length are {off:.1f} mm off'
        ' the joints, on average'
      )
    )
  if not motions:
    raise UserError(f'{output.path}: nobody has a whole pose in it')
  return motions


def _all_frames(person: Person, positions: np.ndarray) -> np.ndarray:
  """Expands positions to all frames, NaN where the person is absent."""
  first, last = person.frames[0], person.frames[-1]
  result = np.full((last - first + 1, *positions.shape[1:]), np.nan)
  result[person.frames - first] = positions
  return result
