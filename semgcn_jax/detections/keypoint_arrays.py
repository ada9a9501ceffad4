"""Reads keypoints from npy and npz files, as saved from MediaPipe and YOLO.

They hold one array of all frames; see `read_array`.
"""

import logging
import pathlib

import numpy as np

from semgcn_jax.detections.persons import Detection, check_coordinates
from semgcn_jax.detections.tracking import oks
from semgcn_jax.errors import UserError, listed, shortened
from semgcn_jax.files import read_arrays

MAX_SIZE = 10**6  # Pixels of an image's side, at most.
# So many people, each so similar (OKS) to the next, are one in as many frames.
_LEAST_FRAMES, _ALIKE = 5, 0.7


def read_array(
  path: pathlib.Path,
) -> tuple[list[list[Detection]], tuple[int, int] | None]:
  """Reads keypoints from an array.

  Args:
    path: An npy, or an npz with the array `keypoints` (or only one array) and,
      optionally, `image_size` (width, height). The array is `[T, J, D]`, or
      `[T, P, J, D]` for up to P people per frame, where D is 2 (x, y), 3 (and
      confidence), 4 or 5 (MediaPipe's x, y, z, visibility and presence). NaN
      and confidence 0 mean not found.

  Returns:
    The people of each frame, and the image size, if the file has it.

  Raises:
    UserError: The file is damaged, or its array has another shape.
  """
  try:
    array, size = _read_arrays(path)
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or "not an array"}') from error
  except (ValueError, TypeError, OverflowError) as error:
    raise UserError(
      f'{path}: not an array of keypoints ({type(error).__name__}:'
      f' {shortened(error, 200)}); give [T, J, 3]'
    ) from error
  columns = array.shape[-1] if array.ndim in (3, 4) and array.size else 0
  if not 2 <= columns <= 5 or (columns == 5 and array.shape[-2] != 33):
    raise UserError(
      f'{path}: an array of shape {array.shape}; give [T, J, 2], [T, J, 3] or'
      ' [T, P, J, 3]'
    )
  if array.ndim == 3:
    array = array[:, None]
  if array.shape[-2:] == (33, 3) and (array[..., 2] < 0).any():
    raise UserError(
      f'{path}: the third column is below 0, so it is z; give the visibility'
      ' instead, or all four columns of MediaPipe'
    )
  try:
    if _is_people_first(array):
      array = array.swapaxes(0, 1)
      logging.getLogger('semgcn_jax').warning(
        '%s: its %d people per frame are those of consecutive frames; they are'
        ' read as [P, T, J, %d], with the people first',
        path,
        len(array),
        columns,
      )
    tracked = array.shape[1] == 1
    # Frame by frame, as a padded array may be mostly empty.
    return [
      [
        Detection(person.copy(), number if tracked else None)
        for number, person in enumerate(_points(frame))
        if (person[:, 2] > 0).any()
      ]
      for frame in array
    ], size
  except ValueError as error:
    raise UserError(f'{path}: not keypoints in pixels ({error})') from error


def _is_people_first(array: np.ndarray) -> bool:
  """Whether people `[T, P, J, D]` are really frames: each is like the next."""
  frames, people = array.shape[:2]
  if people < _LEAST_FRAMES or people <= frames:
    return False
  points = _points(array[0])
  if not (points[..., 2] > 0).any(axis=-1).all():
    return False
  alike = oks(points, points).diagonal(offset=1)
  return bool(np.median(alike) > _ALIKE)


def _read_arrays(
  path: pathlib.Path,
) -> tuple[np.ndarray, tuple[int, int] | None]:
  """Reads the array of keypoints, and the image size, if the file has it."""
  arrays, size = read_arrays(path), None
  if 'image_size' in arrays:
    width, height = arrays.pop('image_size').ravel()[:2]
    size = int(width), int(height)
    if not all(0 < side <= MAX_SIZE for side in size):
      raise ValueError('image_size is not that of an image')
  if 'keypoints' not in arrays and len(arrays) != 1:
    raise ValueError(f'no array keypoints among {listed(arrays)}')
  array = arrays.get('keypoints', next(iter(arrays.values())))
  if array.dtype.kind not in 'fiu':
    raise ValueError(f'of type {array.dtype}')
  return array, size


def _points(frame: np.ndarray) -> np.ndarray:
  """Converts a frame `[P, J, D]` to x, y and confidence, `[P, J, 3]`."""
  points = frame.astype(np.float64)
  if points.shape[-1] == 2:
    points = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
  elif points.shape[-1] > 3:
    points = points[..., [0, 1, 3]]
  points[~np.isfinite(points).all(axis=-1)] = 0
  # YOLO puts missing keypoints at 0, 0, whatever the confidence.
  points[(points[..., :2] == 0).all(axis=-1)] = 0
  return check_coordinates(points)
