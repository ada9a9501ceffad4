"""Reads keypoints from npy and npz files, as saved from MediaPipe and YOLO.

They hold one array of all frames; see `read_array`.
"""

import pathlib

import numpy as np

from semgcn_jax.detections.persons import Detection, check_coordinates
from semgcn_jax.errors import UserError, listed, shortened
from semgcn_jax.files import read_arrays

MAX_SIZE = 10**6  # Pixels of an image's side, at most.


def read_array(
  path: pathlib.Path,
) -> tuple[list[list[Detection]], tuple[int, int] | None]:
  """Reads keypoints from an array.

  Args:
    path: An npy, or an npz with the array `keypoints` (or only one array) and,
      optionally, `image_size` (width, height). The array is `[T, J, D]`, or
      `[T, P, J, D]` for up to P people per frame, where D is 2 (x, y), 3 (and
      confidence) or 4 (MediaPipe's x, y, z and visibility). NaN and confidence
      0 mean not found.

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
  if array.ndim == 3:
    array = array[:, None]
  if array.ndim != 4 or array.shape[-1] not in (2, 3, 4) or not array.size:
    raise UserError(
      f'{path}: an array of shape {array.shape}; give [T, J, 2], [T, J, 3] or'
      ' [T, P, J, 3]'
    )
  if array.shape[-2:] == (33, 3) and (array[..., 2] < 0).any():
    raise UserError(
      f'{path}: the third column is below 0, so it is z; give the visibility'
      ' instead, or all four columns of MediaPipe'
    )
  tracked = array.shape[1] == 1
  try:
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
  elif points.shape[-1] == 4:
    points = points[..., [0, 1, 3]]
  points[~np.isfinite(points).all(axis=-1)] = 0
  # YOLO puts missing keypoints at 0, 0, whatever the confidence.
  points[(points[..., :2] == 0).all(axis=-1)] = 0
  return check_coordinates(points)
