"""Animations of people: their 2D beside their 3D, as GIF or MP4."""

import pathlib
from collections.abc import Iterator

import numpy as np
import rich.progress
from matplotlib.animation import FFMpegWriter, PillowWriter

from semgcn_jax.data.pictures import Album
from semgcn_jax.errors import SettingError
from semgcn_jax.figures.poses import FRONT, bones, draw_room, seen_from
from semgcn_jax.figures.style import new_figure
from semgcn_jax.lifting.upright import Scene
from semgcn_jax.skeleton import Skeleton

_MARGIN = 0.25  # Around everybody, metres.
_DPI = 90


def check_ffmpeg(path: pathlib.Path) -> None:
  """Checks that an animation of this ending can be written.

  Raises:
    SettingError: It is an MP4, and ffmpeg is not installed.
  """
  if path.suffix == '.mp4' and not FFMpegWriter.isAvailable():
    raise SettingError(
      f'`output={path}`: MP4 needs the program ffmpeg, which is not installed;'
      ' write a .gif, or install it'
    )


def write_animation(
  scene: Scene,
  skeleton: Skeleton,
  path: pathlib.Path,
  temporary: pathlib.Path,
  album: Album | None = None,
) -> None:
  """Draws every frame of a scene.

  Args:
    scene: The scene.
    skeleton: The skeleton of its people.
    path: The file that is meant; its ending, .gif or .mp4, tells the format.
    temporary: The file to write.
    album: Its pictures.

  Raises:
    SettingError: See `check_ffmpeg`.
  """
  check_ffmpeg(path)
  figure = new_figure(9.6, 4.8)
  flat, room = figure.subplots(1, 2)
  width, height = scene.people[0].image_size if scene.people else (1, 1)
  # A GIF counts in hundredths of a second.
  fps = min(scene.fps, 50) if path.suffix == '.gif' else scene.fps
  frames = scene.frames
  if len(frames) > 1 and fps < scene.fps:
    frames = frames[:: round(scene.fps / fps)]
  limits = _limits(scene)
  writer = PillowWriter(fps) if path.suffix == '.gif' else FFMpegWriter(fps)
  if isinstance(writer, FFMpegWriter):
    writer.extra_args = ['-f', 'mp4', '-pix_fmt', 'yuv420p']
  with writer.saving(figure, str(temporary), dpi=_DPI):
    for frame in rich.progress.track(
      frames, 'drawing', transient=True, disable=len(frames) < 100
    ):
      for axes in (flat, room):
        axes.clear()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
      picture = album.decoded(frame) if album else None
      if picture is not None:
        flat.imshow(picture, extent=(0, width, height, 0))
      positions = []
      for keypoints, joints in _people_of(scene, frame):
        if keypoints is not None:
          bones(flat, keypoints[:, :2], skeleton, keypoints[:, 2] > 0)
        positions.append(joints)
      flat.set(xlim=(0, width), ylim=(height, 0), aspect='equal')
      draw_room(room, positions, skeleton, FRONT)
      room.set_aspect('equal', adjustable='box')
      room.set(xlim=limits[0], ylim=limits[1])
      flat.set_title(f'{frame / scene.fps:.2f} s', fontsize='small')
      writer.grab_frame()


def _people_of(
  scene: Scene, frame: int
) -> Iterator[tuple[np.ndarray | None, np.ndarray]]:
  """Gives the keypoints and the joints in the room of a frame's people."""
  for person, upright in zip(scene.people, scene.upright, strict=True):
    for row in np.flatnonzero(person.frames == frame):
      keypoints = None if person.keypoints is None else person.keypoints[row]
      yield keypoints, upright.positions[row]


def _limits(scene: Scene) -> list[tuple[float, float]]:
  """Finds what to show of the room in x and y, for all frames alike."""
  joints = [u.positions.reshape(-1, 3) for u in scene.upright]
  seen = seen_from(np.concatenate([*joints, np.zeros((1, 3))]), FRONT)
  seen = seen[np.isfinite(seen).all(axis=-1)]
  low, high = seen.min(axis=0) - _MARGIN, seen.max(axis=0) + _MARGIN
  return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
