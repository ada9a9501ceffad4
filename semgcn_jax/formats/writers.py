"""Writes people in the format that the ending of --output names."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semgcn_jax.config.fields import REQUIRED, Group, Range, setting
from semgcn_jax.detections.clips import PersonPoses
from semgcn_jax.errors import SettingError, UserError, choose, listed
from semgcn_jax.figures.animation import write_animation
from semgcn_jax.figures.page import page_html
from semgcn_jax.figures.poses import draw_grid
from semgcn_jax.figures.style import DPI
from semgcn_jax.files import write_output
from semgcn_jax.formats.bvh_files import bvh_text
from semgcn_jax.formats.glb_files import glb_bytes
from semgcn_jax.formats.pose_files import write_poses
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.motion.rig import NAMES, Motion, deviation, fit
from semgcn_jax.motion.upright import MAX_PITCH, Scene, make_scenes
from semgcn_jax.pictures.videos import Album

DATA = ('.json', '.npz', '.csv')
SHOWN = ('.html', '.png', '.gif', '.mp4')
MOTION = ('.bvh', '.glb')
_MOST_NOTES = 10


@dataclasses.dataclass(frozen=True)
class Options(Group):
  """Says what of the people to write, and how."""

  output: str = setting(REQUIRED, 'Write to this file.')
  clip: str = setting('', 'Write this clip alone; if empty, all of them.')
  person: str = setting(
    '', 'Write the person of this name alone; if empty, everybody.'
  )
  joint_names: str = setting(
    'h36m', 'Name the joints of .bvh and .glb in this way.', choices=NAMES
  )
  pitch: float | None = setting(
    None,
    'Say by how many degrees the camera looks down, if known; otherwise it is'
    ' estimated from the people.',
    Range(
      f'from {-MAX_PITCH:g} to {MAX_PITCH:g} degrees',
      lambda x: abs(x) <= MAX_PITCH,
    ),
  )


def write_people(
  options: Options,
  people: Sequence[PersonPoses],
  *,
  fps: float,
  details: Mapping[str, Any],
  title: str,
  skeleton: Skeleton = H36M,
  pitch: Mapping[str, float] | None = None,
  albums: Mapping[str, Album] | None = None,
) -> None:
  """Writes people to the output that the options name, whole or not at all.

  Args:
    options: Says what, and how.
    people: The people.
    fps: The frames a second.
    details: What the files of poses tell besides.
    title: The title of a page.
    skeleton: The skeleton of the people.
    pitch: {name of a clip: by how many degrees its camera looks down}, where
      it is known and no option says otherwise.
    albums: {name of a clip: its pictures}.

  Raises:
    SettingError: The output cannot be written, or an option chooses nobody.
    UserError: The people do not suit the format.
  """
  output = pathlib.Path(options.output)
  people = _chosen(options, people)
  if output.suffix in DATA:
    content = write_poses(people, output, dict(details))
    write_output(output, lambda path: path.write_bytes(content))
    return
  scenes = make_scenes(people, fps=fps, pitch=options.pitch, known=pitch)
  for scene in scenes[:_MOST_NOTES]:
    print(f'{scene.name}: {scene.note}')
  if len(scenes) > _MOST_NOTES:
    print(f'... and so for {len(scenes) - _MOST_NOTES} more clips')
  albums = albums or {}
  if output.suffix == '.html':
    page = page_html(scenes, title=title, skeleton=skeleton, albums=albums)
    write_output(output, lambda path: path.write_bytes(encoded(page)))
  elif output.suffix == '.png':
    figure = draw_grid(scenes, skeleton, albums)
    write_output(
      output, lambda path: figure.savefig(path, format='png', dpi=DPI)
    )
  elif output.suffix in ('.gif', '.mp4'):
    scene = _one(scenes, output, 'clip')
    album = albums.get(scene.name)
    write_output(
      output,
      lambda path: write_animation(scene, skeleton, output, path, album),
    )
  else:
    content = _motion(options, _one(scenes, output, 'clip'), output, skeleton)
    write_output(output, lambda path: path.write_bytes(content))


def _chosen(
  options: Options, people: Sequence[PersonPoses]
) -> list[PersonPoses]:
  """Takes the people whom `clip` and `person` name."""
  for name in ('clip', 'person'):
    wanted = getattr(options, name)
    if wanted:
      there = dict.fromkeys(getattr(person, name) for person in people)
      choose(name, wanted, there)
      people = [p for p in people if getattr(p, name) == wanted]
  return list(people)


def _one(things: Sequence[Any], output: pathlib.Path, flag: str) -> Any:
  """Takes the only clip or person of a format that holds one."""
  if len(things) == 1:
    return things[0]
  names = [getattr(x, 'name', None) or x.person for x in things]
  raise SettingError(
    f'`output={output}`: holds one {flag}; choose by `{flag}` from'
    f' {listed(names)}'
  )


def _motion(
  options: Options,
  scene: Scene,
  output: pathlib.Path,
  skeleton: Skeleton,
) -> bytes:
  """Makes a BVH or GLB file, and prints how far its bones are off."""
  if skeleton != H36M:
    raise UserError(
      f'{output}: BVH and GLB hold the skeleton `h36m` alone; write .html'
    )
  if output.suffix == '.bvh':
    _one(scene.people, output, 'person')
  motions: dict[str, Motion] = {}
  for person, upright in zip(scene.people, scene.upright, strict=True):
    if not np.isfinite(upright.positions).all(axis=(1, 2)).any():
      print(f'person {person.person}: is left out, as no pose is whole')
      continue
    positions = _all_frames(person, upright.positions)
    first = int(person.frames[0]) - scene.frames.start
    motion = fit(positions, scene.fps, first)
    motions[person.person] = motion
    off = 1000 * deviation(motion, positions)
    print(
      f'person {person.person}: bones of constant length are {off:.1f} mm off'
      ' the joints, on average'
    )
  if not motions:
    raise UserError(f'{output}: nobody has a whole pose in it')
  if output.suffix == '.glb':
    return glb_bytes(motions, options.joint_names)
  (motion,) = motions.values()
  return bvh_text(motion, options.joint_names).encode()


def _all_frames(person: PersonPoses, positions: Any) -> Any:
  """Puts positions at their frames; frames without the person are NaN."""
  first, last = person.frames[0], person.frames[-1]
  result = np.full((last - first + 1, *positions.shape[1:]), np.nan)
  result[person.frames - first] = positions
  return result


def encoded(text: str) -> bytes:
  """Encodes text; names of files may hold what is no text."""
  return text.encode('utf-8', errors='replace')
