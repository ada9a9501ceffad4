"""Writes clips in the formats that the endings of files name."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semgcn_jax.config.choices import OF_PEOPLE, POSE_FILES
from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import (
  SettingError,
  UserError,
  choose,
  counted,
  listed,
  printable,
)
from semgcn_jax.figures.page import page_html
from semgcn_jax.files import write_output
from semgcn_jax.formats import pose_files
from semgcn_jax.formats.angle_files import csv_text, mot_text
from semgcn_jax.formats.bvh_files import bvh_text
from semgcn_jax.formats.glb_files import glb_bytes
from semgcn_jax.formats.marker_files import c3d_bytes, trc_text
from semgcn_jax.formats.vrm_files import vrm_bytes, vrma_bytes
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.motion.angles import joint_angles, unknown
from semgcn_jax.motion.rig import Motion, deviation, fit
from semgcn_jax.motion.upright import Scene, make_scenes

_MOST_NOTES = 10


@dataclasses.dataclass(frozen=True)
class Output:
  """Files to write.

  Attributes:
    paths: The files; the ending of each determines its format.
    title: The title of a page.
    details: More fields for the header of pose files.
    pitch: The angle by which the camera looks down, degrees; see `make_scenes`.
    joint_names: The names of a rig's joints, a key of `rig.NAMES`.
    bvh_unit: The unit of .bvh files, a key of `choices.BVH_UNITS`.
    new: Whether the files must not exist.
  """

  paths: tuple[pathlib.Path, ...]
  title: str = ''
  details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  pitch: float | None = None
  joint_names: str = 'h36m'
  bvh_unit: str = 'cm'
  new: bool = False


def write_clips(clips: Sequence[Clip], output: Output) -> None:
  """Writes clips atomically to files with endings of `WRITERS`.

  Raises:
    SettingError: A file cannot be written, or holds only one clip or person.
    UserError: The clips do not suit a format.
  """
  for clip in clips:
    check_formats(output.paths, clip.skeleton)
  content = _Content(clips, output)
  for path in output.paths:
    write = functools.partial(WRITERS[_ending(path)], content, path)
    write_output(path, write, new=output.new)


def check_formats(paths: Sequence[pathlib.Path], skeleton: Skeleton) -> None:
  """Raises a SettingError if the formats of files do not hold a skeleton."""
  for path in paths:
    if skeleton != H36M and _ending(path) in OF_PEOPLE:
      raise SettingError(
        f'`output={path}`: needs the skeleton h36m; write .html'
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


class _Content:
  """What is written of clips: their scenes and motions, made when needed."""

  def __init__(self, clips: Sequence[Clip], output: Output):
    self.clips, self.output = clips, output
    self._motions: dict[bool, dict[str, Motion]] = {}

  @functools.cached_property
  def scenes(self) -> list[Scene]:
    """The scenes of the clips; prints where their cameras look."""
    scenes = make_scenes(self.clips, pitch=self.output.pitch)
    for scene in scenes[:_MOST_NOTES]:
      print(printable(f'{scene.clip.name}: {scene.note}'))
    if len(scenes) > _MOST_NOTES:
      print(f'... and {counted(len(scenes) - _MOST_NOTES, "more clip")}')
    return scenes

  def motions(self, *, apart: bool | None = None) -> dict[str, Motion]:
    """The motions of the people of the only clip; prints the deviations once.

    Args:
      apart: Whether no joints coincide, as in LAFAN1's names, which decide by
        default.
    """
    if apart is None:
      apart = self.output.joint_names == 'lafan1'
    if apart not in self._motions:
      (scene,) = self.scenes
      motions = _fit_motions(scene, apart=apart)
      if not self._motions:
        _print_deviations(scene, motions)
      self._motions[apart] = motions
    return self._motions[apart]


def _ending(path: pathlib.Path) -> str:
  """Returns the longest of the endings of `WRITERS` that a file has."""
  return max(filter(path.name.endswith, WRITERS), key=len)


def _poses(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Writes a file of poses."""
  details = content.output.details
  to.write_bytes(pose_files.write_poses(content.clips, path, details))


def _page(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Writes a page."""
  del path
  html = page_html(content.scenes, title=content.output.title)
  to.write_bytes(encoded(html))


def _drawing(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Draws a grid of poses."""
  del path
  # Matplotlib takes long to import, and pages do not need it.
  from semgcn_jax.figures.poses import draw_grid
  from semgcn_jax.figures.style import DPI

  draw_grid(content.scenes).savefig(to, format='png', dpi=DPI)


def _animation(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Animates the only clip."""
  from semgcn_jax.figures.animation import write_animation  # See above.

  scene = _one(content.scenes, path, 'clip')
  motions = content.motions() if scene.clip.skeleton == H36M else {}
  write_animation(scene, path, to, motions)


def _bvh(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Writes the motion of the only person."""
  motions = _motions_of_one(content, path)
  (motion,) = motions.values()
  output = content.output
  text = bvh_text(motion, output.joint_names, output.bvh_unit)
  to.write_bytes(text.encode())


def _glb(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Writes the motions of the people of the only clip."""
  _one(content.scenes, path, 'clip')
  motions = _motions(content, path)
  to.write_bytes(glb_bytes(motions, content.output.joint_names))


def _vrm(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Writes the only person, or their motion, for programs that know VRM."""
  motions = _motions_of_one(content, path, apart=True)
  ((person, motion),) = motions.items()
  write = vrma_bytes if path.suffix == '.vrma' else vrm_bytes
  to.write_bytes(write(person, motion))


def _markers(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Writes the joints of the only person as markers."""
  positions, feet, fps, first = _only_positions(content, path)
  if feet is not None:
    positions = np.concatenate([positions, feet], axis=1)
  if path.suffix == '.c3d':
    to.write_bytes(c3d_bytes(positions, fps, first))
  else:
    text = trc_text(positions, fps, first, printable(path.name))
    to.write_bytes(encoded(text))


def _angles(content: _Content, path: pathlib.Path, to: pathlib.Path) -> None:
  """Writes the joint angles of the only person."""
  positions, feet, fps, first = _only_positions(content, path)
  angles = joint_angles(positions, feet)
  if path.suffix == '.mot':
    text = mot_text(angles, fps, first, printable(path.stem))
  else:
    text = csv_text(angles, fps, first)
  to.write_bytes(encoded(text))
  if shares := unknown(angles):
    listing = [f'{name} ({share:.0%})' for name, share in shares.items()]
    print(
      f'{printable(path.name)}: some poses do not determine {listed(listing)}'
    )


# {file ending: function that writes it}.
WRITERS = {
  **dict.fromkeys(POSE_FILES, _poses),
  '.html': _page,
  '.png': _drawing,
  '.gif': _animation,
  '.mp4': _animation,
  '.bvh': _bvh,
  '.glb': _glb,
  '.vrm': _vrm,
  '.vrma': _vrm,
  '.trc': _markers,
  '.c3d': _markers,
  '.mot': _angles,
  '.angles.csv': _angles,
}


def _one(things: Sequence[Any], path: pathlib.Path, flag: str) -> Any:
  """Returns the only scene or person, for a format that holds one."""
  if len(things) == 1:
    return things[0]
  names = [getattr(thing, 'clip', thing).name for thing in things]
  raise SettingError(
    f'`output={path}`: holds one {flag}; choose one with `{flag}`:'
    f' {listed(names)}'
  )


def _only_positions(
  content: _Content, path: pathlib.Path
) -> tuple[np.ndarray, np.ndarray | None, float, int]:
  """Returns joints, feet, frame rate and first frame of the only person.

  Raises:
    UserError: No pose is whole.
  """
  scene = _one(content.scenes, path, 'clip')
  _one(scene.clip.people, path, 'person')
  [person], [upright] = scene.clip.people, scene.upright
  if not np.isfinite(upright.positions).all(axis=(1, 2)).any():
    raise UserError(f'{path}: nobody has a whole pose in it')
  first = int(person.frames[0]) - scene.clip.frames.start
  joints, feet = (
    None if points is None else _all_frames(person, points)
    for points in (upright.positions, upright.feet)
  )
  assert joints is not None
  return joints, feet, scene.clip.fps, first


def _motions(
  content: _Content, path: pathlib.Path, *, apart: bool | None = None
) -> dict[str, Motion]:
  """Returns the motions of the only clip.

  Raises:
    UserError: Nobody has a whole pose.
  """
  motions = content.motions(apart=apart)
  if not motions:
    raise UserError(f'{path}: nobody has a whole pose in it')
  return motions


def _motions_of_one(
  content: _Content, path: pathlib.Path, *, apart: bool | None = None
) -> dict[str, Motion]:
  """Returns the motion of the only person.

  Raises:
    SettingError: There are several clips or people.
    UserError: The person has no whole pose.
  """
  scene = _one(content.scenes, path, 'clip')
  _one(scene.clip.people, path, 'person')
  return _motions(content, path, apart=apart)


def _fit_motions(scene: Scene, *, apart: bool) -> dict[str, Motion]:
  """Fits the rig to the people of a scene who have a whole pose."""
  clip = scene.clip
  motions: dict[str, Motion] = {}
  for person, upright in zip(clip.people, scene.upright, strict=True):
    if not np.isfinite(upright.positions).all(axis=(1, 2)).any():
      continue
    positions = _all_frames(person, upright.positions)
    first = int(person.frames[0]) - clip.frames.start
    feet = upright.feet
    if feet is not None:
      feet = _all_frames(person, feet)
    motions[person.name] = fit(
      positions, clip.fps, first, feet=feet, apart=apart
    )
  return motions


def _print_deviations(scene: Scene, motions: Mapping[str, Motion]) -> None:
  """Prints how far motions are from the joints, and who has none."""
  for person, upright in zip(scene.clip.people, scene.upright, strict=True):
    if person.name not in motions:
      print(printable(f'person {person.name}: left out, as no pose is whole'))
      continue
    positions = _all_frames(person, upright.positions)
    off = 1000 * deviation(motions[person.name], positions)
    print(
      printable(
        f'person {person.name}: bones of constant length are {off:.1f} mm off'
        ' the joints, on average'
      )
    )


def _all_frames(person: Person, positions: np.ndarray) -> np.ndarray:
  """Expands positions to all frames, NaN where the person is absent."""
  first, last = person.frames[0], person.frames[-1]
  result = np.full((last - first + 1, *positions.shape[1:]), np.nan)
  result[person.frames - first] = positions
  return result
