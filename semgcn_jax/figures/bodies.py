"""Draws solid bodies that move with a rig, lit from above."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw

from semgcn_jax.figures.palette import SOLID
from semgcn_jax.figures.poses import seen_from, towards
from semgcn_jax.motion.body_mesh import Surface, body_surfaces, pose_bodies
from semgcn_jax.motion.rig import Motion

_LIGHT = np.array([0.4, 0.8, 0.45]) / np.linalg.norm([0.4, 0.8, 0.45])
_AMBIENT = 0.55  # The share of light on what faces away from it.
_SHADOW = '#d4d7dc'
_FINER = 2  # Pixels drawn for each one shown, along each axis.


class Bodies:
  """The bodies of people in a clip, to be drawn frame by frame.

  Attributes:
    motions: Their motions by name.
  """

  def __init__(self, motions: Mapping[str, Motion]):
    self.motions = motions
    self._surfaces: dict[str, dict[str, Surface]] = {
      name: body_surfaces(motion.offsets) for name, motion in motions.items()
    }

  def draw(
    self, axes: Any, frame: int, names: Sequence[str], view: tuple[float, float]
  ) -> None:
    """Draws people on the ground, without perspective.

    Args:
      axes: The axes to draw into.
      frame: The number of the frame, from the first of the clip.
      names: Who to draw.
      view: The azimuth and elevation of the viewer, degrees.
    """
    corners, colors = [], []
    for name in names:
      motion = self.motions[name]
      row = frame - motion.first
      surfaces = self._surfaces[name]
      for part, points in pose_bodies(surfaces, motion, row).items():
        triangles = points[surfaces[part].triangles]
        corners.append(triangles)
        colors.append(_shaded(triangles, SOLID[part]))
    if not corners:
      return
    triangles, shades = np.concatenate(corners), np.concatenate(colors)
    triangles, shades = _facing(triangles, shades, view)
    order = np.argsort(triangles.mean(axis=1) @ towards(view))
    canvas = _Canvas(axes)
    shadow = seen_from(triangles * (1, 0, 1), view)
    canvas.fill(shadow, np.broadcast_to(to_rgb(_SHADOW), shades.shape))
    canvas.fill(seen_from(triangles[order], view), shades[order])
    canvas.show()


class _Canvas:
  """An image over axes, into which Pillow fills triangles.

  Matplotlib takes seconds for the thousands of a body.
  """

  def __init__(self, axes: Any):
    box = axes.get_window_extent()
    self._axes = axes
    self._limits = np.array([axes.get_xlim(), axes.get_ylim()])
    self._size = np.array([box.width, box.height]).round().astype(int)
    self._image = Image.new('RGBA', tuple((_FINER * self._size).tolist()))
    self._draw = ImageDraw.Draw(self._image)

  def fill(self, triangles: np.ndarray, colors: np.ndarray) -> None:
    """Fills triangles, `[F, 3, 2]`, with colors from 0 to 1, `[F, 3]`."""
    low, high = self._limits.T
    share = (triangles - low) / (high - low)
    share[..., 1] = 1 - share[..., 1]  # Rows go down.
    pixels = (share * _FINER * self._size).reshape(-1, 6).tolist()
    rgb = np.round(255 * colors).astype(int).tolist()
    for corners, color in zip(pixels, rgb, strict=True):
      self._draw.polygon(corners, fill=(*color, 255))

  def show(self) -> None:
    """Shows the image in the axes."""
    # Transparent pixels are black; only their alpha may blend.
    image = self._image.convert('RGBa').reduce(_FINER).convert('RGBA')
    self._axes.imshow(
      image, extent=self._limits.ravel(), zorder=3, interpolation='none'
    )


def _facing(
  triangles: np.ndarray, shades: np.ndarray, view: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
  """Leaves out the triangles that face away from the viewer."""
  seen = _normals(triangles) @ towards(view) > 0
  return triangles[seen], shades[seen]


def _normals(triangles: np.ndarray) -> np.ndarray:
  """Returns the unit normals of triangles, `[F, 3, 3]`."""
  a, b, c = triangles.swapaxes(0, 1)
  normals = np.cross(b - a, c - a)
  length = np.linalg.norm(normals, axis=-1, keepdims=True)
  return normals / np.maximum(length, 1e-12)


def _shaded(triangles: np.ndarray, color: str) -> np.ndarray:
  """Returns the color of each triangle, `[F, 3, 3]`, in the light."""
  normals = _normals(triangles)
  light = _AMBIENT + (1 - _AMBIENT) * np.maximum(normals @ _LIGHT, 0)
  # A little of the light is reflected as it is.
  shine = 0.25 * np.maximum(normals @ _LIGHT, 0) ** 12
  shaded = light[:, None] * np.array(to_rgb(color)) + shine[:, None]
  return np.clip(shaded, 0, 1)
