"""Keeps the poses of a live stream from trembling, without later frames."""

import numpy as np

from semgcn_jax.geometry.skeletons import (
  H36M,
  Skeleton,
  bone_vectors,
  join_bones,
)

_POSE_HZ = 4.0  # Changes of a pose faster than this are taken for noise,
_SPEED_HZ = 2.0  # and changes of its speed faster than this.


class Steady:
  """Filters poses, frame by frame: an alpha-beta filter of each bone.

  Each bone is predicted from where it was and how fast it turned, and moves
  from there towards where the network sees it, which does not lag behind a
  steady motion. At high frame rates it moves by little per frame, since noise
  then changes more often than people move. Lengths are averaged likewise, so
  that bodies stay within bounds. Poses must be finite.
  """

  def __init__(self, fps: float, skeleton: Skeleton = H36M):
    """Starts a filter for a stream of `fps` frames per second."""
    self._fps, self._skeleton = fps, skeleton
    # The bones, how fast they change, and their lengths.
    self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

  def __call__(self, pose: np.ndarray) -> np.ndarray:
    """Filters the next pose, `[J, 3]`, metres, the root at the origin."""
    bones = bone_vectors(pose.astype(np.float64), self._skeleton)
    lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
    if self._last is None:
      self._last = bones, np.zeros_like(bones), lengths
      return pose
    before, speeds, length = self._last
    share = _share(_POSE_HZ, self._fps)
    expected = before + speeds / self._fps
    moved = expected + share * (bones - expected)
    change = (moved - before) * self._fps - speeds
    speeds = speeds + _share(_SPEED_HZ, self._fps) * change
    length = length + share * (lengths - length)
    self._last = moved, speeds, length
    norms = np.linalg.norm(moved, axis=-1, keepdims=True)
    # A bone that has just turned around has no direction for a moment.
    along = np.where(norms > 1e-6, moved, bones)
    norms = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    bones = along / norms * length
    return join_bones(bones, self._skeleton).astype(pose.dtype)


def _share(cutoff: float, fps: float) -> float:
  """Returns the weight of a new value in a low-pass filter, cutoff in Hz."""
  return 1 / (1 + fps / (2 * np.pi * cutoff))


def steady(
  poses: np.ndarray, fps: float, skeleton: Skeleton = H36M
) -> np.ndarray:
  """Filters the poses of a clip, `[T, J, 3]`, as a stream does."""
  step = Steady(fps, skeleton)
  return np.stack([step(pose) for pose in poses])
