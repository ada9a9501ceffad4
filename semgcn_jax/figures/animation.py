"""Animations of people, 2D beside 3D, as GIF or MP4."""

import math
import pathlib
import subprocess
from collections.abc import Iterator

import numpy as np
import rich.progress
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.figures.poses import FRONT, bones, draw_room, seen_from
from semgcn_jax.figures.style import new_figure
from semgcn_jax.motion.upright import Scene

_MARGIN = 0.25  # Around everybody, metres.
_DPI = 90
_GIF_FPS = 50  # The highest frame rate of GIFs.


def check_ffmpeg(path: pathlib.Path) -> None:
  """Raises a SettingError if a file is an MP4 and ffmpeg is not installed."""
  if path.suffix == '.mp4' and not FFMpegWriter.isAvailable():
    raise SettingError(
      f'`output={path}`: MP4 needs the program ffmpeg, which is not installed;'
      ' write a .gif, or install it'
    )


def write_animation(
  scene: Scene, path: pathlib.Path, temporary: pathlib.Path
) -> None:
  """Draws every frame of a scene.

  Args:
    scene: The scene.
    path: The final file; its ending, .gif or .mp4, determines the format.
    temporary: The file to write.

  Raises:
    SettingError: See `check_ffmpeg`.
    UserError: There is nobody to draw, or ffmpeg fails.
  """
  check_ffmpeg(path)
  frames, fps = scene.clip.frames, scene.clip.fps
  if not frames:
    raise UserError(f'{path}: there is nobody to draw')
  figure = new_figure(9.6, 4.8)
  figure.set_layout_engine('none')
  if path.suffix == '.gif':
    frames = frames[:: math.ceil(fps / _GIF_FPS)]
    _write_gif(figure, _drawn(figure, scene, frames), frames, fps, temporary)
    return
  # The options name the format, as the temporary file has no ending.
  options = ['-f', 'mp4', '-pix_fmt', 'yuv420p']
  writer = FFMpegWriter(fps, extra_args=options)  # pyright: ignore[reportArgumentType]
  try:
    with writer.saving(figure, str(temporary), dpi=_DPI):
      for _ in _drawn(figure, scene, frames):
        writer.grab_frame()
  except (subprocess.CalledProcessError, BrokenPipeError) as error:
    raise UserError(
      f'{path}: ffmpeg cannot write it ({error}); write a .gif'
    ) from error


def _drawn(figure: Figure, scene: Scene, frames: range) -> Iterator[int]:
  """Draws one frame after another into a figure: 2D left, 3D right."""
  flat, room = (figure.add_axes((x, 0.0, 0.5, 1.0)) for x in (0.0, 0.5))
  clip, album, skeleton = scene.clip, scene.clip.pictures, scene.clip.skeleton
  width, height = clip.image_size
  window: dict = {'xlim': (0, width), 'ylim': (height, 0)}
  if album is None:
    window = _window(scene) or window
  xlim, ylim = _limits(scene)
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
    flat.set(**window, aspect='equal')
    draw_room(room, positions, skeleton, FRONT)
    room.set(xlim=xlim, ylim=ylim)
    time = f'{(frame - frames[0]) / clip.fps:.2f} s'
    flat.text(0.03, 0.97, time, va='top', transform=flat.transAxes)
    yield frame


def _write_gif(
  figure: Figure,
  drawn: Iterator[int],
  frames: range,
  fps: float,
  path: pathlib.Path,
) -> None:
  """Writes what is drawn into a figure as a GIF."""
  figure.set_dpi(_DPI)
  canvas = FigureCanvasAgg(figure)

  def image():
    canvas.draw()
    rgb = np.asarray(canvas.buffer_rgba())[..., :3]
    return Image.fromarray(rgb).quantize(64)

  # GIF durations are in hundredths of a second; errors must not add up.
  times = np.append(frames, frames[-1] + frames.step) / fps
  durations = np.diff(np.round(100 * (times - times[0]))).clip(1, 65535)
  images = (image() for _ in drawn)
  next(images).save(
    path,
    format='GIF',
    save_all=True,
    append_images=images,
    duration=(10 * durations).astype(int).tolist(),
    loop=0,
  )


def _people_of(
  scene: Scene, frame: int
) -> Iterator[tuple[np.ndarray | None, np.ndarray]]:
  """Yields the keypoints, and the joints in the room, of people in a frame."""
  for person, upright in zip(scene.clip.people, scene.upright, strict=True):
    for row in np.flatnonzero(person.frames == frame):
      keypoints = None if person.keypoints is None else person.keypoints[row]
      yield keypoints, upright.positions[row]


def _limits(scene: Scene) -> list[tuple[float, float]]:
  """Finds the limits of the room's x and y that fit all frames."""
  joints = [u.positions.reshape(-1, 3) for u in scene.upright]
  points = np.concatenate([*joints, np.zeros((0, 3))])
  points = points[np.isfinite(points).all(axis=-1)]
  if not len(points):
    points = np.zeros((1, 3))
  # Show the ground below everybody, too.
  points = np.concatenate([points, points * (1, 0, 1)])
  seen = seen_from(points, FRONT)
  low, high = seen.min(axis=0) - _MARGIN, seen.max(axis=0) + _MARGIN
  middle, half = (low + high) / 2, (high - low).max() / 2
  return [(float(m - half), float(m + half)) for m in middle]


def _window(scene: Scene) -> dict[str, tuple[float, float]] | None:
  """Finds a square of the image that holds all keypoints of a scene."""
  keypoints = [
    person.keypoints[person.keypoints[..., 2] > 0, :2]
    for person in scene.clip.people
    if person.keypoints is not None
  ]
  points = np.concatenate([*keypoints, np.zeros((0, 2))])
  if not len(points):
    return None
  low, high = points.min(axis=0), points.max(axis=0)
  (x, y), half = (low + high) / 2, 0.6 * max(*(high - low), 1)
  return {'xlim': (x - half, x + half), 'ylim': (y + half, y - half)}
