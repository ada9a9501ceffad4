"""Lifts a clip and its mirror image to poses that mirror each other.

A network learns both, but not to treat them alike, and to average its poses for
both takes twice the time. So of the two, the one whose person starts on the
right of the image is lifted, and mirrored back where it was the other.
"""

from typing import Any

import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.geometry.skeletons import H36M, mirror
from semgcn_jax.simulation.points import MIRROR_ORDER, NAMES

# Different for each pair, so that hardly anybody is in the middle.
_WEIGHTS = 1 + np.minimum(MIRROR_ORDER, np.arange(len(NAMES))) / len(NAMES)


def is_mirrored(config: Config) -> bool:
  """Whether the clips of a network are lifted so, and not both averaged."""
  return config.augmentation.flip and not config.evaluation.flip_test


def is_on_the_left(points: Any, center: Any) -> Any:
  """Masks the people who are on the left of their image, `[...]`.

  Args:
    points: The points of `NAMES`, `[..., P, 3]`, pixels and confidence, in
      NumPy or JAX.
    center: The principal points, `[..., 2]`, pixels.
  """
  found = points[..., 2] > 0
  offsets = points[..., 0] - center[..., :1]
  return (_WEIGHTS * found * offsets).sum(axis=-1) < 0


def mirror_points(points: Any, center: Any) -> Any:
  """Mirrors points `[..., P, 3]` about the principal points, `[..., 2]`."""
  xp = points.__array_namespace__()
  points = points[..., MIRROR_ORDER, :]
  x = 2 * center[..., None, :1] - points[..., :1]
  x = xp.where(points[..., 2:] > 0, x, 0).astype(points.dtype)
  return xp.concatenate([x, points[..., 1:]], axis=-1)


def mirror_poses(poses: Any, errors: Any) -> tuple[Any, Any]:
  """Mirrors poses `[..., 16, 3]` and their errors `[..., 16]`."""
  return mirror(poses, H36M), errors[..., list(H36M.mirror_order)]
