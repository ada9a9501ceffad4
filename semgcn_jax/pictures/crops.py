"""Square crops around people, and joints in their coordinates.

A box is left, top, width and height, in pixels of the image, whose first pixel
covers 0 to 1.
"""

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.errors import SettingError, shortened

Box = tuple[float, float, float, float]

MARGIN = 0.15  # Added on each side of the joints, as a share of the side.


def read_box(box: ArrayLike, image_size: tuple[int, int] | None = None) -> Box:
  """Reads the box of a person.

  Args:
    box: Left, top, width and height, pixels, or text such as 10,20,100,300.
    image_size: The width and height of the image, pixels, if known.

  Raises:
    SettingError: The box is not four valid numbers, or is outside the image.
  """
  words = box.split(',') if isinstance(box, str) else box
  words = np.ravel(np.asarray(words, object))
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
      f'`box={x:g},{y:g},{width:g},{height:g}`: is outside of the image; give'
      f' one within the {image_size[0]} x {image_size[1]} pixels'
    )
  return x, y, width, height


def square_boxes(boxes: np.ndarray, margin: float = 0.0) -> np.ndarray:
  """Extends boxes to squares about their center.

  Args:
    boxes: The boxes, `[N, 4]`, pixels.
    margin: Added on each side, as a share of the longer side.

  Returns:
    The squares, `[N, 4]` float64, pixels; they may extend beyond the image.
  """
  boxes = np.asarray(boxes, np.float64)
  middle = boxes[:, :2] + boxes[:, 2:] / 2
  side = boxes[:, 2:].max(axis=1, keepdims=True) * (1 + 2 * margin)
  return np.concatenate([middle - side / 2, side, side], axis=1)


def keypoint_boxes(keypoints: np.ndarray, margin: float = MARGIN) -> np.ndarray:
  """Returns the square around each person's joints, with a margin.

  Joints are inside the body, so without a margin the crop would cut off hands,
  feet and head.

  Args:
    keypoints: The joints, `[N, J, 2]`, pixels.
    margin: Added on each side, as a share of the longer side.

  Returns:
    The squares, `[N, 4]` float64, pixels.
  """
  keypoints = np.asarray(keypoints, np.float64)
  low, high = keypoints.min(axis=1), keypoints.max(axis=1)
  return square_boxes(np.concatenate([low, high - low], axis=1), margin)


def to_crop(keypoints: np.ndarray, boxes: np.ndarray) -> np.ndarray:
  """Converts joints to coordinates of their square, with edges at -1 and 1.

  Args:
    keypoints: The joints, `[N, J, 2]`, pixels of the image.
    boxes: The square of each person, `[N, 4]`, pixels.

  Returns:
    The joints, `[N, J, 2]` float32.
  """
  boxes = np.asarray(boxes, np.float64)[:, None]
  placed = (keypoints - boxes[..., :2]) / boxes[..., 2:] * 2 - 1
  return placed.astype(np.float32)
