"""The paths of people through a room: where their roots are in each frame."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import percentile_filter

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.geometry.joint_sets import MIN_KEYPOINTS

SOLE = 0.08  # The height of the ankle above the ground, metres.
# The assumed focal length over the longer side of the image, where a person's
# places are unknown.
_FOCAL = 1.2
# Places are clipped to this distance from the median, metres.
_FARTHEST = 100.0
_GROUND_PERCENTILE = 10  # Of the lowest joints within two seconds.


def root_paths(
  clip: Clip, poses: Sequence[np.ndarray], turn: np.ndarray
) -> list[np.ndarray]:
  """Finds the path of each person's root in the room.

  If a person's places are known, the person moves along them. In a solved clip
  the ground is known, too. Otherwise, as places are uncertain, above all in
  depth, the ground follows the feet, averaged over two seconds, so that the
  person neither sinks nor floats. Without places, the lowest joint is always on
  the ground; a single person stays in the middle, and several stand where a
  typical lens would see them.

  Args:
    clip: The clip.
    poses: The poses of its people, turned to the room, `[T, J, 3]`, metres.
    turn: The rotation from the camera frame to the room, `[3, 3]`.

  Returns:
    The roots of each person in the room, `[T, 3]`, metres.
  """
  people = clip.people
  roots = [_roots(person, clip, turn) for person in people]
  known = [r for p, r in zip(people, roots, strict=True) if _moves(p)]
  middle = np.median(np.concatenate(known), axis=0) if known else np.zeros(3)
  paths = []
  for person, pose, root in zip(people, poses, roots, strict=True):
    lowest = (pose + root[:, None])[..., 1].min(axis=-1)
    ground = lowest
    if _moves(person):
      root = root - middle * (1, 0, 1)
    if _moves(person) and clip.view:
      ground = np.full(len(root), SOLE - clip.view.height)
    elif _moves(person):
      seen = np.isfinite(lowest)
      width = max(1, round(2 * clip.fps))
      low = percentile_filter(lowest[seen], _GROUND_PERCENTILE, width)
      ground = np.interp(person.frames, person.frames[seen], low)
    root[:, 1] += SOLE - ground
    paths.append(root)
  return paths


def _moves(person: Person) -> bool:
  """Returns whether any place of a person is known."""
  if person.places is None:
    return False
  return bool(np.isfinite(person.places[person.is_whole]).all(axis=-1).any())


def _roots(person: Person, clip: Clip, turn: np.ndarray) -> np.ndarray:
  """Computes the position of a person's root, `[T, 3]`, except its height."""
  pose = person.poses
  if person.places is not None and _moves(person):
    places = person.places.copy()
    known = np.isfinite(places).all(axis=-1)
    usual = np.median(places[known], axis=0)
    places = np.clip(places, usual - _FARTHEST, usual + _FARTHEST)
    for axis in range(3):  # Interpolate unknown places.
      places[:, axis] = np.interp(
        person.frames, person.frames[known], places[known, axis]
      )
    return places @ turn.T
  roots = np.zeros((len(pose), 3))
  if len(clip.people) == 1 or person.keypoints is None:
    return roots
  found = person.keypoints[..., 2:] > 0
  usable = (found.sum(axis=(1, 2)) >= MIN_KEYPOINTS) & person.is_whole
  if not usable.any():
    return roots
  places = typical_places(
    pose[usable], person.keypoints[usable], clip.image_size
  )
  return roots + np.median(places, axis=0) @ turn.T


def typical_places(
  poses: np.ndarray, keypoints: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
  """Returns where a typical lens would see people, `[T, 3]`, metres.

  Args:
    poses: The poses, `[T, J, 3]`, metres, camera frame.
    keypoints: Their keypoints, `[T, J, 3]`, of which some are found in each.
    image_size: The width and height of the image, pixels.
  """
  found = keypoints[..., 2:] > 0
  pose, seen = poses[..., :2], keypoints[..., :2]

  def middle(points):
    return (points * found).sum(axis=1) / found.sum(axis=1)

  # Pixels per metre: the size of the keypoints over that of the pose.
  spread = [
    np.sqrt((((a - middle(a)[:, None]) * found) ** 2).sum(axis=(1, 2)))
    for a in (seen, pose)
  ]
  scale = spread[0] / np.maximum(spread[1], 0.1)
  scale = np.maximum(scale, 1)
  offset = middle(seen) / scale[:, None] - middle(pose)
  focal = _FOCAL * max(image_size)
  width, height = image_size
  x, y = offset[:, 0] - width / 2 / scale, offset[:, 1] - height / 2 / scale
  return np.column_stack([x, y, focal / scale])
