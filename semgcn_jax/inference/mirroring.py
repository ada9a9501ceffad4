"""Lifts a clip and its mirror image to poses that mirror each other.

A network learns both, but not to treat them alike, and to average its poses for
both takes twice the time. So of the two, the one whose person starts on the
right of the image is lifted, and mirrored back where it was the other.
"""

import numpy as np

from semgcn_jax.geometry.skeletons import H36M, mirror
from semgcn_jax.simulation.points import MIRROR_ORDER, NAMES

# Different for each pair, so that hardly anybody is in the middle.
_WEIGHTS = 1 + np.minimum(MIRROR_ORDER, np.arange(len(NAMES))) / len(NAMES)


def is_on_the_left(points: np.ndarray, center: np.ndarray) -> bool:
  """Returns whether a person is on the left of the image.

  Args:
    points: The points of `NAMES`, `[P, 3]`, pixels and confidence.
    center: The principal point, `[2]`, pixels.
  """
  found = points[:, 2] > 0
  return bool((_WEIGHTS * found * (points[:, 0] - center[0])).sum() < 0)


def mirror_points(points: np.ndarray, center: np.ndarray) -> np.ndarray:
  """Mirrors points `[T, P, 3]` about the principal points, `[T, 2]`."""
  mirrored = points[:, MIRROR_ORDER]
  x = 2 * center[:, None, 0] - mirrored[..., 0]
  mirrored[..., 0] = np.where(mirrored[..., 2] > 0, x, 0)
  return mirrored


def mirror_poses(
  poses: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Mirrors poses `[..., 16, 3]` and their errors `[..., 16]`."""
  return mirror(poses, H36M), errors[..., list(H36M.mirror_order)]
