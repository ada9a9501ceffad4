"""Finds people in a picture with a detector that finds few at a time.

`find` is a function from an image, `[H, W, 3]` uint8, to the people in it.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from semgcn_jax.detections.mediapipe import JOINTS
from semgcn_jax.detections.persons import Detection, Find
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.pictures.crops import Box

MOST_PEOPLE = 12  # In an image.
# Around a box; its person is searched with more or less of the surroundings.
_MARGINS = (0.1, 0.25, 0.0, 0.5, 1.0)
_LEAST_OVERLAP, _GOOD_OVERLAP, _SAME_OVERLAP = 0.2, 0.6, 0.4
_MOST_SHARED = 0.6  # Of the smaller of two people's boxes.
# Shoulders or arms, and a trunk, are at most so many times as long as the head
# is large.
_WIDEST, _TALLEST = 3.0, 5.5
_FACE = ('nose', 'eye', 'ear', 'mouth')  # What the face's joints are of.
_GRAY = 128
_BEYOND = 0.1  # A body extends this far beyond its landmarks, over its size.


def find_people(find: Find, image: np.ndarray) -> list[Detection]:
  """Finds the people in an image, the most prominent first.

  Each person found is painted over to find the next.

  Args:
    find: Finds people in an image.
    image: The image, `[H, W, 3]` uint8, RGB.
  """
  people: list[Detection] = []
  rest, looks = image.copy(), 0
  for window in _windows(image.shape[1]):
    while looks < MOST_PEOPLE:
      part = blank(rest)
      part[:, window] = rest[:, window]
      person = next(iter(find(part)), None)
      if person is None or any(
        overlap(person.keypoints, box_of(p.keypoints)) > _SAME_OVERLAP
        for p in people
      ):
        break
      if is_plausible(person.keypoints) and not any(
        shared(person.keypoints, p.keypoints) > _MOST_SHARED for p in people
      ):
        people.append(person)
      looks += 1
      paint_over(rest, person.keypoints)
  return people


def blank(image: np.ndarray) -> np.ndarray:
  """Returns a gray image of the same size, `[H, W, 3]`, without anybody."""
  return np.full_like(image, _GRAY)


def paint_over(image: np.ndarray, keypoints: np.ndarray) -> None:
  """Paints over a person, `[J, 3]`, in an image, `[H, W, 3]`, in place."""
  box = box_of(keypoints)
  _cut(image, *box, _BEYOND * size_of(keypoints))[...] = _GRAY


def box_of(keypoints: np.ndarray) -> tuple[int, int, int, int]:
  """Returns the left, top, right and bottom of keypoints `[J, 3]`, pixels."""
  found = keypoints[keypoints[:, 2] > 0, :2]
  (left, top), (right, bottom) = found.min(axis=0), found.max(axis=0)
  return int(left), int(top), int(right) + 1, int(bottom) + 1


def size_of(keypoints: np.ndarray) -> int:
  """Returns the longer side of the box of keypoints `[J, 3]`, pixels."""
  left, top, right, bottom = box_of(keypoints)
  return max(right - left, bottom - top)


def find_in_box(find: Find, image: np.ndarray, box: Box) -> Detection:
  """Finds the person who fits a box best.

  Raises:
    UserError: There is nobody in the box.
  """
  people: list[Detection] = []
  # Who is small in the image is found in a part of it.
  looks = (
    *((_look_around, margin) for margin in _MARGINS),
    *((_look_closely, margin) for margin in _MARGINS),
  )
  for look, margin in looks:
    people += look(find, image, box, margin)
    if any(_fit(person.keypoints, box) > _GOOD_OVERLAP for person in people):
      break
  return people[choose_in_box([p.keypoints for p in people], box)]


def _look_around(
  find: Find, image: np.ndarray, box: Box, margin: float
) -> list[Detection]:
  """Finds people where all but a box and a margin is painted over."""
  return [*find(surroundings(image, box, margin))]


def _look_closely(
  find: Find, image: np.ndarray, box: Box, margin: float
) -> list[Detection]:
  """Finds people in a box and a margin, as an image of its own."""
  x, y, width, height = box
  margin *= max(width, height)
  part = _cut(image, x, y, x + width, y + height, margin)
  if not part.size:
    return []
  corner = max(0, int(x - margin)), max(0, int(y - margin)), 0
  return [
    dataclasses.replace(
      person,
      keypoints=np.where(
        person.keypoints[:, 2:] > 0, person.keypoints + corner, 0
      ),
    )
    for person in find(np.ascontiguousarray(part))
  ]


def choose_in_box(people: Sequence[np.ndarray], box: Box) -> int:
  """Returns the index of the person `[J, 3]`, pixels, who fits a box best.

  Raises:
    UserError: There is nobody in the box.
  """
  fits = [_fit(keypoints, box) for keypoints in people]
  if max(fits, default=0) <= _LEAST_OVERLAP:
    numbers = ','.join(f'{number:g}' for number in box)
    raise UserError(
      f'`box={numbers}`: nobody was found in it; make it larger, or leave it'
      ' out to see everybody'
    )
  return int(np.argmax(fits))


def _fit(keypoints: np.ndarray, box: Box) -> float:
  """Returns the overlap of a person `[J, 3]`, pixels, and a box."""
  x, y, width, height = box
  return overlap(keypoints, (x, y, x + width, y + height))


def _windows(width: int) -> list[slice]:
  """Returns where to look for people: everywhere, then in halves."""
  half = width // 2
  starts = (half, 0, half // 2)
  return [slice(0, width), *(slice(s, s + half) for s in starts)]


def overlap(keypoints: np.ndarray, edges: tuple[float, ...]) -> float:
  """Returns the intersection over union of a person `[J, 3]` and a box.

  Args:
    keypoints: Pixels and confidence, `[J, 3]`.
    edges: The left, top, right and bottom of the box, pixels.
  """
  common, own, other = _areas(box_of(keypoints), edges)
  return common / (own + other - common)


def shared(first: np.ndarray, second: np.ndarray) -> float:
  """Returns what two people `[J, 3]` share of the smaller one's box."""
  common, *areas = _areas(box_of(first), box_of(second))
  return common / max(min(areas), 1)


def inside(first: np.ndarray, second: np.ndarray) -> float:
  """Returns the share of the first person's box in the second's; `[J, 3]`."""
  common, own, _ = _areas(box_of(first), box_of(second))
  return common / max(own, 1)


def _areas(
  first: tuple[float, ...], second: tuple[float, ...]
) -> tuple[float, float, float]:
  """Returns the areas of the intersection of two boxes, and of each."""

  def area(left, top, right, bottom):
    return max(0, right - left) * max(0, bottom - top)

  start, end = map(max, first[:2], second[:2]), map(min, first[2:], second[2:])
  return area(*start, *end), area(*first), area(*second)


def is_plausible(keypoints: np.ndarray, joint_set: str = JOINTS) -> bool:
  """Whether keypoints have the proportions of a person.

  Where a person has been painted over, others are seen in what remains.

  Args:
    keypoints: Pixels and confidence, `[J, 3]`.
    joint_set: Their joint set, a key of `JOINT_SETS` with the joints of COCO.
  """
  names = JOINT_SETS[joint_set].points
  places = {
    name: point[:2]
    for name, point in zip(names, keypoints, strict=True)
    if point[2] > 0
  }

  def apart(first, second):
    if first not in places or second not in places:
      return 0.0
    return float(np.linalg.norm(places[first] - places[second]))

  face = [
    place
    for name, place in places.items()
    if any(part in name for part in _FACE)
  ]
  head = float(np.ptp(face, axis=0).max()) if len(face) > 1 else 0.0
  sides = ('left', 'right')
  size = max(head, *(apart('nose', f'{side}_shoulder') for side in sides))
  widths = [apart('left_shoulder', 'right_shoulder')]
  widths += [apart(f'{s}_shoulder', f'{s}_elbow') for s in sides]
  trunk = max(apart(f'{s}_shoulder', f'{s}_hip') for s in sides)
  return not size or (max(widths) < _WIDEST * size and trunk < _TALLEST * size)


def surroundings(image: np.ndarray, box: Box, margin: float) -> np.ndarray:
  """Paints over everything but a box and a margin around it."""
  x, y, width, height = box
  around = (x, y, x + width, y + height, margin * max(width, height))
  result = blank(image)
  _cut(result, *around)[...] = _cut(image, *around)
  return result


def _cut(image, left, top, right, bottom, margin):
  """Returns a view of a box in an image."""
  return image[
    max(0, int(top - margin)) : max(0, int(bottom + margin)),
    max(0, int(left - margin)) : max(0, int(right + margin)),
  ]
