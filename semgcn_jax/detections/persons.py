"""Reads one person's keypoints from the JSON of a detector.

They are under one of the names in `POINTS`: a list of numbers, of lists of two
or three numbers, of objects of x, y, score and name, or an object of x and y.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from semgcn_jax.errors import shortened

# The names of a person's keypoints, and of their confidences if separate.
POINTS = (
  *('keypoints', 'pose_keypoints_2d', 'pose_keypoints', 'joints'),
  'keypoints_pos',
)
SCORES = ('keypoint_scores', 'keypoints_score')
NAMES = 'keypoint_names'  # Of a person, or added from what its file states.
# Confidences go from 0 to 1, or slightly above; COCO's flags are 0, 1 and 2.
MAX_CONFIDENCE = 2.0
MAX_PIXELS = 1e6  # No image has coordinates beyond this.


@dataclasses.dataclass(frozen=True)
class Detection:
  """A person detected in a frame.

  Attributes:
    keypoints: Pixels x and y, and confidence, `[J, 3]`.
    track: The number of the person in the clip, if the file has it.
    names: The names of the keypoints, if the file has them.
  """

  keypoints: np.ndarray
  track: int | None = None
  names: tuple[str, ...] = ()


# Finds people in an image, `[H, W, 3]` uint8, RGB.
Find = Callable[[np.ndarray], list[Detection]]


def is_person(value: Any) -> bool:
  """Whether a JSON value describes a person."""
  return isinstance(value, dict) and any(name in value for name in POINTS)


def read_person(value: dict[str, Any]) -> Detection | None:
  """Reads a person from their JSON object; None without any keypoints.

  Raises:
    Exception: Of any kind, if the value is in no known format.
  """
  points = _keypoints(value)
  if points is None:
    return None
  return Detection(points, _track(value), _names(value))


def _names(person: dict[str, Any]) -> tuple[str, ...]:
  """Returns the names of a person's keypoints, if they are given."""
  names = person.get(NAMES)
  if names is None and _are_objects(person.get('keypoints')):
    names = [point.get('name', '') for point in person['keypoints']]
  return tuple(map(str, names or ()))


def check_coordinates(points: np.ndarray) -> np.ndarray:
  """Checks that coordinates can be pixels.

  Args:
    points: Pixels x and y, and confidence, `[..., 3]`, all finite.

  Returns:
    The points; those of confidence 0 that lie outside any image are zeroed.

  Raises:
    ValueError: A point with confidence lies outside any image.
  """
  beyond = (np.abs(points[..., :2]) > MAX_PIXELS).any(axis=-1)
  if (beyond & (points[..., 2] > 0)).any():
    raise ValueError(
      f'a coordinate of {np.abs(points[beyond, :2]).max():.3g}, beyond'
      f' {MAX_PIXELS:g} pixels'
    )
  points[beyond] = 0
  return points


def _keypoints(person: dict[str, Any]) -> np.ndarray | None:
  """Reads a person's keypoints, `[J, 3]`; None if there are none.

  A flat list holds x, y and confidence in turn. Lists of two numbers, x and y,
  have confidence 1, or that under one of `SCORES`. NaN and null mean not found.
  """
  name = next((name for name in POINTS if name in person), 'keypoints')
  value = person[name]
  if isinstance(value, dict):
    value = _by_columns(value)
  elif _are_objects(value):
    value = [
      [p['x'], p['y'], p.get('score', p.get('visibility', 1))] for p in value
    ]
  elif isinstance(value, list):
    # A missing keypoint may be null or an empty list.
    lists = [point for point in value if isinstance(point, list)]
    columns = max(map(len, lists), default=0)
    if columns:
      value = [
        [None] * min(columns, 4) if point in (None, []) else point
        for point in value
      ]
    elif all(point is None or point == [] for point in value):
      return None
  if value is None or (hasattr(value, '__len__') and not len(value)):
    return None
  points = np.asarray(value, np.float64)
  if points.ndim == 1 and len(points) % 3 == 0:
    points = points.reshape(-1, 3)
  if points.ndim != 2 or points.shape[1] not in (2, 3):
    raise ValueError(
      f'{name} of shape {list(points.shape)}, not [J, 3], [J, 2] or [3 J]'
    )
  scores = next((person[name] for name in SCORES if name in person), None)
  if scores is not None:
    column = np.asarray(scores, np.float64).reshape(len(points), 1)
    points = np.concatenate([points[:, :2], column], axis=1)
  elif points.shape[1] == 2:
    points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
  points[np.isnan(points).any(axis=1)] = 0
  if not np.isfinite(points).all():
    raise ValueError('a keypoint is not a number')
  low, high = points[:, 2].min(), points[:, 2].max()
  if low < 0 or high > MAX_CONFIDENCE:
    raise ValueError(
      f'confidences from {low:g} to {high:g}, not from 0 to 1 (at most'
      f' {MAX_CONFIDENCE:g}); give 0 to missing keypoints, and scale the others'
    )
  return check_coordinates(points)


def _are_objects(value: Any) -> bool:
  """Whether keypoints are objects, as in TensorFlow.js and MediaPipe's JSON."""
  return (
    isinstance(value, list)
    and bool(value)
    and all(isinstance(point, dict) and 'x' in point for point in value)
  )


def _by_columns(value: dict[str, Any]) -> np.ndarray:
  """Reads YOLO's lists of x, y and visibility; 0, 0 means not found."""
  columns = [value['x'], value['y']]
  sure = value.get('visible')
  columns.append([1.0] * len(columns[0]) if sure is None else sure)
  points = np.array(columns, np.float64).T.reshape(-1, 3)
  points[(points[:, :2] == 0).all(axis=1)] = 0
  return points


def annotated(keypoints: Any) -> Any:
  """Converts COCO's visibility flags (1 hidden, 2 visible) to confidences."""
  if not isinstance(keypoints, list) or all(
    point is None or point == [] for point in keypoints
  ):
    return keypoints
  points = np.asarray(keypoints, np.float64)
  if points.ndim == 1 and len(points) % 3 == 0:
    points = points.reshape(-1, 3)
    points[:, 2] = np.minimum(points[:, 2], 1)
  return points


def _track(person: dict[str, Any]) -> int | None:
  """Returns the number that a tracker has given to a person."""
  for name in ('track_id', 'person_id', 'idx', 'new_pid'):
    value = person.get(name)
    while isinstance(value, list) and value:
      value = value[0]
    if isinstance(value, int | float) and value >= 0:
      return int(value)
  return None


def whole(number: Any, name: str) -> int:
  """Reads a whole number, such as 3 or 3.0.

  Raises:
    Exception: Of any kind if it is not a number, a ValueError if it is 1.5.
  """
  if int(number) != number:
    raise ValueError(f'{name} {shortened(number)} is not a whole number')
  return int(number)
