"""Writes clips in the format that the ending of a file names."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import SettingError, UserError, choose, listed
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
    path: The file, whose ending says what.
    title: The title of a page.
    details: What files of poses tell besides.
    pitch: By how many degrees the camera looks down; see `make_scenes`.
    joint_names: How the joints of a rig are called, a key of `rig.NAMES`.
  """

  path: pathlib.Path
  title: str = ''
  details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  pitch: float | None = None
  joint_names: str = 'h36m'


def write_clips(clips: Sequence[Clip], output: Output) -> None:
  """Writes clips to a file with one of the endings of `WRITERS`, whole.

  Raises:
    SettingError: The file cannot be written, or holds one clip or person alone.
    UserError: The clips do not suit the format.
  """
  write = WRITERS[output.path.suffix]
  write_output(output.path, lambda path: write(clips, output, path))


def choose_people(
  clips: Sequence[Clip], clip: str = '', person: str = ''
) -> list[Clip]:
  """Takes the clip and the person of these names, or everybody if they are ''.

  Clips without people are left out.

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
  """Encodes text; names of files may hold what is no text."""
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
  """Draws every frame of the only clip."""
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


# {ending of a file: what writes it}.
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
  """Makes the scenes of clips, and prints where their cameras look."""
  scenes = make_scenes(clips, pitch=output.pitch)
  for scene in scenes[:_MOST_NOTES]:
    print(f'{scene.clip.name}: {scene.note}')
  if len(scenes) > _MOST_NOTES:
    print(f'... and so for {len(scenes) - _MOST_NOTES} more clips')
  return scenes


def _one(things: Sequence[Any], output: Output, flag: str) -> Any:
  """Takes the only scene or person of a format that holds one."""
  if len(things) == 1:
    return things[0]
  names = [getattr(thing, 'clip', thing).name for thing in things]
  raise SettingError(
    f'`output={output.path}`: holds one {flag}; choose by `{flag}` from'
    f' {listed(names)}'
  )


def _motions(scene: Scene, output: Output) -> dict[str, Motion]:
  """Fits the rig to people, and prints how far its bones are off.

  Raises:
    UserError: They are of another skeleton, or none has a whole pose.
  """
  clip = scene.clip
  if clip.skeleton != H36M:
    raise UserError(
      f'{output.path}: BVH and GLB hold the skeleton `h36m` alone; write .html'
    )
  motions: dict[str, Motion] = {}
  for person, upright in zip(clip.people, scene.upright, strict=True):
    if not np.isfinite(upright.positions).all(axis=(1, 2)).any():
      print(f'person {person.name}: is left out, as no pose is whole')
      continue
    positions = _all_frames(person, upright.positions)
    first = int(person.frames[0]) - clip.frames.start
    motion = fit(positions, clip.fps, first)
    motions[person.name] = motion
    off = 1000 * deviation(motion, positions)
    print(
      f'person {person.name}: bones of constant length are {off:.1f} mm off'
      ' the joints, on average'
    )
  if not motions:
    raise UserError(f'{output.path}: nobody has a whole pose in it')
  return motions


def _all_frames(person: Person, positions: np.ndarray) -> np.ndarray:
  """Puts positions at their frames; frames without the person are NaN."""
  first, last = person.frames[0], person.frames[-1]
  result = np.full((last - first + 1, *positions.shape[1:]), np.nan)
  result[person.frames - first] = positions
  return result
