"""Chooses the square about a person in a picture, and places joints in it.

A box is left, top, width and height, in pixels of the picture, where the first
pixel covers 0 to 1.
"""

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.errors import SettingError, shortened

Box = tuple[float, float, float, float]

MARGIN = 0.15  # What is added at each side of the joints, as a share of a side.


def read_box(box: ArrayLike, image_size: tuple[int, int] | None = None) -> Box:
  """Reads the box of a person, given as numbers or as their texts.

  Args:
    box: Left, top, width and height, pixels.
    image_size: The width and height of the picture, pixels, if it is known.

  Raises:
    SettingError: It is no box of four numbers, or is outside of the picture.
  """
  words = np.ravel(np.asarray(box, object))
  text = shortened(','.join(map(str, words)))
  try:
    x, y, width, height = (float(word) for word in words)
    if not (abs(x) + abs(y) < 1e6 and 0 < width < 1e6 and 0 < height < 1e6):
      raise ValueError
  except (TypeError, ValueError) as error:
    raise SettingError(
      f'`box={text}`: give left, top, width and height in pixels, the last two'
      ' above 0, such as 10,20,100,300'
    ) from error
  if image_size is not None and not (
    -width < x < image_size[0] and -height < y < image_size[1]
  ):
    raise SettingError(
      f'`box={text}`: is outside of the picture; give one within the'
      f' {image_size[0]} x {image_size[1]} pixels that there are'
    )
  return x, y, width, height


def square_boxes(boxes: np.ndarray, margin: float = 0.0) -> np.ndarray:
  """Makes boxes square about their middle, as large as their longer side.

  Args:
    boxes: The boxes, `[N, 4]`, pixels.
    margin: What is added at each side, as a share of the longer side.

  Returns:
    The squares, `[N, 4]` float64, pixels; they may reach beyond the picture.
  """
  boxes = np.asarray(boxes, np.float64)
  middle = boxes[:, :2] + boxes[:, 2:] / 2
  side = boxes[:, 2:].max(axis=1, keepdims=True) * (1 + 2 * margin)
  return np.concatenate([middle - side / 2, side, side], axis=1)


def keypoint_boxes(keypoints: np.ndarray, margin: float = MARGIN) -> np.ndarray:
  """Puts a square about the joints of each person, with a margin.

  The joints are inside of the body, so that without a margin the picture would
  end in the hands, the feet and the head.

  Args:
    keypoints: The joints, `[N, J, 2]`, pixels.
    margin: What is added at each side, as a share of the longer side.

  Returns:
    The squares, `[N, 4]` float64, pixels.
  """
  keypoints = np.asarray(keypoints, np.float64)
  low, high = keypoints.min(axis=1), keypoints.max(axis=1)
  return square_boxes(np.concatenate([low, high - low], axis=1), margin)


def to_crop(keypoints: np.ndarray, boxes: np.ndarray) -> np.ndarray:
  """Scales joints to their square: -1 and 1 are its edges.

  Args:
    keypoints: The joints, `[N, J, 2]`, pixels of the picture.
    boxes: The square of each person, `[N, 4]`, pixels.

  Returns:
    The joints, `[N, J, 2]` float32.
  """
  boxes = np.asarray(boxes, np.float64)[:, None]
  placed = (keypoints - boxes[..., :2]) / boxes[..., 2:] * 2 - 1
  return placed.astype(np.float32)
