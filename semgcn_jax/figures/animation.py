"""Animations of people, 2D beside 3D, as GIF or MP4."""

import math
import pathlib
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib
import numpy as np
import rich.progress
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.figures.bodies import Bodies
from semgcn_jax.figures.poses import (
  FRONT,
  SIDE,
  TOP,
  bones,
  draw_floor,
  draw_sticks,
  seen_from,
)
from semgcn_jax.figures.style import new_figure
from semgcn_jax.motion.rig import Motion
from semgcn_jax.motion.upright import Scene

_MARGIN = 0.25  # Around everybody, metres.
_DPI = 90
# Inches; an MP4 has 1920 x 1080 pixels.
_GIF_SIZE, _MP4_SIZE, _MP4_DPI = (9.6, 4.8), (16.0, 9.0), 120
_STEADY = 0.5  # Seconds over which the camera follows people.
_GIF_FPS = 50  # The highest frame rate of GIFs.


def check_ffmpeg(path: pathlib.Path) -> None:
  """Finds ffmpeg if a file is an MP4, or raises a SettingError."""
  if path.suffix != '.mp4' or FFMpegWriter.isAvailable():
    return
  try:
    import imageio_ffmpeg  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise SettingError(
      f'`output={path}`: MP4 needs the program ffmpeg, which is not installed;'
      ' write a .gif, or install it, also by pip install "semgcn-jax[mp4]"'
    ) from error
  matplotlib.rcParams['animation.ffmpeg_path'] = imageio_ffmpeg.get_ffmpeg_exe()


def write_animation(
  scene: Scene,
  path: pathlib.Path,
  temporary: pathlib.Path,
  motions: Mapping[str, Motion] | None = None,
) -> None:
  """Draws every frame of a scene.

  Args:
    scene: The scene.
    path: The final file; its ending, .gif or .mp4, determines the format.
    temporary: The file to write.
    motions: The motions of the people, by name, to draw their bodies; without
      them, people are drawn as sticks.

  Raises:
    SettingError: See `check_ffmpeg`.
    UserError: There is nobody to draw, or ffmpeg fails.
  """
  check_ffmpeg(path)
  frames, fps = scene.clip.frames, scene.clip.fps
  if not frames:
    raise UserError(f'{path}: there is nobody to draw')
  bodies = Bodies(motions or {})
  if path.suffix == '.gif':
    figure = new_figure(*_GIF_SIZE)
    frames = frames[:: math.ceil(fps / _GIF_FPS)]
    drawn = _drawn(figure, scene, frames, bodies)
    _write_gif(figure, drawn, frames, fps, temporary)
    return
  figure = new_figure(*_MP4_SIZE)
  figure.set_dpi(_MP4_DPI)
  # The options name the format, as the temporary file has no ending.
  options = ['-f', 'mp4', '-pix_fmt', 'yuv420p']
  writer = FFMpegWriter(fps, extra_args=options)  # pyright: ignore[reportArgumentType]
  try:
    with writer.saving(figure, str(temporary), dpi=_MP4_DPI):
      for _ in _drawn(figure, scene, frames, bodies):
        writer.grab_frame()
  except (subprocess.CalledProcessError, BrokenPipeError) as error:
    raise UserError(
      f'{path}: ffmpeg cannot write it ({error}); write a .gif'
    ) from error


def _drawn(
  figure: Figure, scene: Scene, frames: range, bodies: Bodies
) -> Iterator[int]:
  """Draws one frame after another into a figure.

  On the left are the image and the people from the front, on the right those
  from the side and from above.
  """
  figure.set_layout_engine('none')
  flat, front, side, top = (
    figure.add_axes(box)
    for box in (
      (0.0, 0.0, 0.36, 1.0),
      (0.36, 0.0, 0.44, 1.0),
      (0.8, 0.5, 0.2, 0.5),
      (0.8, 0.0, 0.2, 0.5),
    )
  )
  clip, album, skeleton = scene.clip, scene.clip.pictures, scene.clip.skeleton
  width, height = clip.image_size
  window: dict = {'xlim': (0, width), 'ylim': (height, 0)}
  if album is None:
    window = _window(scene) or window
  cameras = [
    (front, _Camera(scene, FRONT)),
    (side, _Camera(scene, SIDE)),
    (top, _Camera(scene, TOP)),
  ]
  for frame in rich.progress.track(
    frames, 'drawing', transient=True, disable=len(frames) < 100
  ):
    for axes in (flat, front, side, top):
      axes.clear()
      axes.set(xticks=[], yticks=[])
      axes.spines[:].set_visible(False)
    picture = album.decoded(frame) if album else None
    if picture is not None:
      flat.imshow(picture, extent=(0, width, height, 0))
    people = _people_of(scene, frame)
    for _, keypoints, _ in people:
      if keypoints is not None:
        bones(flat, keypoints[:, :2], skeleton, keypoints[:, 2] > 0)
    flat.set(**window, aspect='equal')
    solid = [name for name, _, _ in people if name in bodies.motions]
    sticks = [p for name, _, p in people if name not in bodies.motions]
    for axes, camera in cameras:
      camera.look(axes, frame)
      bodies.draw(axes, frame - clip.frames.start, solid, camera.view)
      draw_sticks(axes, sticks, skeleton, camera.view)
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
    return Image.fromarray(rgb).quantize(128)

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
) -> list[tuple[str, np.ndarray | None, np.ndarray]]:
  """Returns name, keypoints and joints in the room of who is in a frame."""
  people = []
  for person, upright in zip(scene.clip.people, scene.drawn, strict=True):
    for row in np.flatnonzero(person.frames == frame):
      keypoints = None if person.keypoints is None else person.keypoints[row]
      people.append((person.name, keypoints, upright.positions[row]))
  return people


class _Camera:
  """A camera that follows the people of a scene.

  Attributes:
    reach: The distances from the middle of what it shows to the edges that are
      needed, to the right and up, `[2]`, metres.
  """

  def __init__(self, scene: Scene, view: tuple[float, float]):
    self.view = view
    frames = scene.clip.frames
    low = np.full((len(frames), 2), np.inf)
    high = -low
    for person, upright in zip(scene.clip.people, scene.drawn, strict=True):
      rows = person.frames - frames.start
      # The floor below everybody is shown, too.
      joints = np.stack([upright.positions, upright.positions * (1, 0, 1)])
      seen = seen_from(joints, view)
      low[rows] = np.fmin(low[rows], seen.min(axis=(0, 2)))
      high[rows] = np.fmax(high[rows], seen.max(axis=(0, 2)))
    known = np.isfinite(low + high).all(axis=1)
    self._first = frames.start
    self._middle = np.zeros((len(frames), 2))
    self.reach = np.ones(2)
    if not known.any():
      return
    numbers = np.arange(len(frames))
    for axis in range(2):
      middle = (low[known, axis] + high[known, axis]) / 2
      self._middle[:, axis] = np.interp(numbers, numbers[known], middle)
    steady = _STEADY * scene.clip.fps
    self._middle = gaussian_filter1d(self._middle, steady, axis=0)
    ends = np.stack([low[known], high[known]]) - self._middle[known]
    self.reach = np.abs(ends).max(axis=(0, 1)) + _MARGIN

  def look(self, axes: Any, frame: int) -> None:
    """Sets the limits of axes, whatever their shape, and draws the floor."""
    box = axes.get_window_extent()
    size = np.array([box.width, box.height])
    half = size * (self.reach / size).max()
    low, high = (self._middle[frame - self._first] + s * half for s in (-1, 1))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    draw_floor(axes, low, high, self.view)


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
