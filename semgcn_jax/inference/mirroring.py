"""Lifts a clip and its mirror image to poses that mirror each other.

A network learns both, but not to treat them alike, and to average its poses for
both takes twice the time. So of the two, the one whose person starts on the
right of the image is lifted, and mirrored back where it was the other.
"""

from typing import Any

import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.geometry.skeletons import H36M, Skeleton, mirror
from semgcn_jax.simulation.points import OF_PEOPLE, Points


def is_mirrored(config: Config) -> bool:
  """Whether the clips of a network are lifted so, and not both averaged."""
  return config.augmentation.flip and not config.evaluation.flip_test


def is_on_the_left(points: Any, center: Any, of: Points = OF_PEOPLE) -> Any:
  """Masks the people who are on the left of their image, `[...]`.

  Args:
    points: The points, `[..., P, 3]`, pixels and confidence, in NumPy or JAX.
    center: The principal points, `[..., 2]`, pixels.
    of: What the points are.
  """
  found = points[..., 2] > 0
  offsets = points[..., 0] - center[..., :1]
  # Different for each pair, so that hardly anybody is in the middle.
  count = len(of.names)
  weights = 1 + np.minimum(of.mirror_order, np.arange(count)) / count
  return (weights * found * offsets).sum(axis=-1) < 0


def mirror_points(points: Any, center: Any, of: Points = OF_PEOPLE) -> Any:
  """Mirrors points `[..., P, 3]` about the principal points, `[..., 2]`."""
  xp = points.__array_namespace__()
  points = points[..., of.mirror_order, :]
  x = 2 * center[..., None, :1] - points[..., :1]
  x = xp.where(points[..., 2:] > 0, x, 0).astype(points.dtype)
  return xp.concatenate([x, points[..., 1:]], axis=-1)


def mirror_poses(
  poses: Any, errors: Any, skeleton: Skeleton = H36M
) -> tuple[Any, Any]:
  """Mirrors poses `[..., J, 3]` and their errors `[..., J]`."""
  return mirror(poses, skeleton), errors[..., list(skeleton.mirror_order)]
