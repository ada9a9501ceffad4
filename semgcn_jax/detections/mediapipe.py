"""Finds people's keypoints in images with MediaPipe's pose landmarker.

It finds one person at a time, and its weights come with its package, which the
extra `pose` installs. Its 33 landmarks are the joint set `mediapipe`.
"""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import rich.progress

from semgcn_jax.detections.clips import Clip
from semgcn_jax.detections.persons import Detection
from semgcn_jax.detections.tracking import track
from semgcn_jax.errors import UserError, missing_extra
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.pictures import images
from semgcn_jax.pictures.crops import Box, read_box
from semgcn_jax.pictures.images import read_image
from semgcn_jax.pictures.videos import Album, Video

MOST_PEOPLE = 12  # In an image.
_LEAST_VISIBILITY = 0.5
_BEYOND_EDGE = 0.05  # Trust landmarks this far off the image, over body size.
# The visibility required of a knee whose ankle is outside the image; it is
# often a guess, and so are hips without a knee.
_SURE = 0.9
# Around a box; its person is searched with more or less of the surroundings.
_MARGINS = (0.1, 0.25, 0.0, 0.5, 1.0)
_LEAST_OVERLAP, _GOOD_OVERLAP, _SAME_OVERLAP = 0.2, 0.6, 0.4
_MOST_SHARED = 0.6  # Of the smaller of two people's boxes.
# Shoulders or arms, and a trunk, are at most so many times as long as the head
# is large.
_WIDEST, _TALLEST = 3.0, 5.5
_FACE = 11  # The first landmarks are those of the face.
_GRAY = 128
# Pixels; at 32,767, the OpenCV inside of MediaPipe ends the process.
_MAX_SIDE = 8192
_BEYOND = 0.1  # A body extends this far beyond its landmarks, over its size.

_NAMES = JOINT_SETS['mediapipe'].names
_HIPS = [_NAMES.index(f'{side}_hip') for side in ('left', 'right')]
_KNEES = [_NAMES.index(f'{side}_knee') for side in ('left', 'right')]
_ANKLES = [_NAMES.index(f'{side}_ankle') for side in ('left', 'right')]


def find_people(image: np.ndarray, box: Box | None = None) -> list[Detection]:
  """Finds the people in an image, the most prominent first.

  Each person found is painted over to find the next.

  Args:
    image: The image, `[H, W, 3]` uint8, RGB.
    box: Left, top, width and height of the only person to find, pixels.

  Returns:
    The people, with 33 keypoints in pixels each.

  Raises:
    SettingError: MediaPipe is not installed.
    UserError: There is nobody in the box.
  """
  with _landmarker(static=True) as find:
    if box is not None:
      return [_find_in_box(find, image, box)]
    people, rest, looks = [], image.copy(), 0
    for window in _windows(image.shape[1]):
      while looks < MOST_PEOPLE:
        part = np.full_like(rest, _GRAY)
        part[:, window] = rest[:, window]
        person = find(part)
        if person is None or any(
          _overlap(person, box_of(p.keypoints)) > _SAME_OVERLAP for p in people
        ):
          break
        if _is_plausible(person.keypoints) and not any(
          _shared(person, p) > _MOST_SHARED for p in people
        ):
          people.append(person)
        looks += 1
        left, top, right, bottom = box_of(person.keypoints)
        margin = _BEYOND * max(right - left, bottom - top)
        _cut(rest, left, top, right, bottom, margin)[...] = _GRAY
    return people


def follow(
  pictures: Iterable[np.ndarray], box: Box | None = None
) -> Iterator[Detection | None]:
  """Finds one person in every image of a video; raises as `find_people` does.

  Args:
    pictures: The images, `[H, W, 3]` each.
    box: The person's box in the first image; None takes the most prominent one.
  """
  with _landmarker(static=False) as find:
    for number, picture in enumerate(pictures):
      if number == 0 and box is not None:
        yield _find_in_box(find, picture, box, tracks=True)
      else:
        yield find(picture)


def box_of(keypoints: np.ndarray) -> tuple[int, int, int, int]:
  """Returns the left, top, right and bottom of keypoints `[J, 3]`, pixels."""
  found = keypoints[keypoints[:, 2] > 0, :2]
  (left, top), (right, bottom) = found.min(axis=0), found.max(axis=0)
  return int(left), int(top), int(right) + 1, int(bottom) + 1


def _find_in_box(
  find: Any, image: np.ndarray, box: Box, *, tracks: bool = False
) -> Detection:
  """Finds the person who fits a box best; a tracker keeps the first to fit."""
  x, y, width, height = box
  best, most = None, _LEAST_OVERLAP
  for margin in _MARGINS:
    person = find(_surroundings(image, box, margin))
    if person is not None:
      overlap = _overlap(person, (x, y, x + width, y + height))
      if overlap > most:
        best, most = person, overlap
    if best is not None and (tracks or most > _GOOD_OVERLAP):
      break
    if tracks:
      find(np.full_like(image, _GRAY))  # Makes it forget the person.
  if best is None:
    numbers = ','.join(f'{number:g}' for number in box)
    raise UserError(
      f'`box={numbers}`: nobody was found in it; make it larger, or leave it'
      ' out to see everybody'
    )
  return best


def _windows(width: int) -> list[slice]:
  """Returns where to look for people: everywhere, then in halves."""
  half = width // 2
  starts = (half, 0, half // 2)
  return [slice(0, width), *(slice(s, s + half) for s in starts)]


def _overlap(person: Detection, edges: tuple[float, ...]) -> float:
  """Returns the intersection over union of a person and a box."""
  common, own, other = _areas(box_of(person.keypoints), edges)
  return common / (own + other - common)


def _shared(first: Detection, second: Detection) -> float:
  """Returns the intersection of two people's boxes over the smaller one."""
  boxes = box_of(first.keypoints), box_of(second.keypoints)
  common, *areas = _areas(*boxes)
  return common / max(min(areas), 1)


def _areas(
  first: tuple[float, ...], second: tuple[float, ...]
) -> tuple[float, float, float]:
  """Returns the areas of the intersection of two boxes, and of each."""

  def area(left, top, right, bottom):
    return max(0, right - left) * max(0, bottom - top)

  start, end = map(max, first[:2], second[:2]), map(min, first[2:], second[2:])
  return area(*start, *end), area(*first), area(*second)


def _is_plausible(keypoints: np.ndarray) -> bool:
  """Whether keypoints have the proportions of a person.

  Where a person has been painted over, others are seen in what remains.
  """
  places = {
    name: point[:2]
    for name, point in zip(_NAMES, keypoints, strict=True)
    if point[2] > 0
  }

  def apart(first, second):
    if first not in places or second not in places:
      return 0.0
    return float(np.linalg.norm(places[first] - places[second]))

  face = [places[name] for name in _NAMES[:_FACE] if name in places]
  head = float(np.ptp(face, axis=0).max()) if len(face) > 1 else 0.0
  sides = ('left', 'right')
  size = max(head, *(apart('nose', f'{side}_shoulder') for side in sides))
  widths = [apart('left_shoulder', 'right_shoulder')]
  widths += [apart(f'{s}_shoulder', f'{s}_elbow') for s in sides]
  trunk = max(apart(f'{s}_shoulder', f'{s}_hip') for s in sides)
  return not size or (max(widths) < _WIDEST * size and trunk < _TALLEST * size)


def _surroundings(image: np.ndarray, box: Box, margin: float) -> np.ndarray:
  """Paints over everything but a box and a margin around it."""
  x, y, width, height = box
  around = (x, y, x + width, y + height, margin * max(width, height))
  result = np.full_like(image, _GRAY)
  _cut(result, *around)[...] = _cut(image, *around)
  return result


def _cut(image, left, top, right, bottom, margin):
  """Returns a view of a box in an image."""
  return image[
    max(0, int(top - margin)) : max(0, int(bottom + margin)),
    max(0, int(left - margin)) : max(0, int(right + margin)),
  ]


@contextlib.contextmanager
def _landmarker(*, static: bool) -> Iterator[Any]:
  """Builds a function from an image to the person in it, or None.

  Raises:
    SettingError: MediaPipe is not installed.
  """
  # MediaPipe and TensorFlow Lite log a lot that users need not see.
  os.environ.setdefault('GLOG_minloglevel', '3')
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', UserWarning)
    try:
      from mediapipe.python.solutions import pose  # pyright: ignore[reportMissingImports]

      with _quiet():
        landmarker: Any = pose.Pose(
          static_image_mode=static, model_complexity=1
        )
        landmarker.process(np.zeros((64, 64, 3), np.uint8))
    except Exception as error:  # A broken installation raises anything.
      what = '`image`, `video`, `camera`:'
      raise missing_extra(what, 'MediaPipe', 'pose', error) from error

    def find(picture):
      (height, width), shape = picture.shape[:2], picture.shape
      picture = images.limited(picture, _MAX_SIDE)
      found = landmarker.process(np.ascontiguousarray(picture)).pose_landmarks
      if found is None:
        return None
      points = [(p.x, p.y, p.visibility) for p in found.landmark]
      keypoints = _found(np.array(points) * (width, height, 1), shape)
      return Detection(keypoints) if (keypoints[:, 2] > 0).any() else None

    with landmarker:
      yield find


def _found(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """Zeroes the landmarks that were not really found.

  MediaPipe always places all 33, even far outside the image, and is often sure
  of hips that are not in it.

  Args:
    points: Pixels and visibility, `[33, 3]`.
    shape: The height and the width of the image.

  Returns:
    The keypoints, `[33, 3]`.
  """
  x, y, visibility = points.T
  visible = visibility >= _LEAST_VISIBILITY
  size = np.ptp(points[visible, :2], axis=0).max() if visible.any() else 0.0

  def within(beyond):
    in_x = (x >= -beyond) & (x < shape[1] + beyond)
    return in_x & (y >= -beyond) & (y < shape[0] + beyond)

  inside = within(0.0)
  found = visible & within(_BEYOND_EDGE * size)
  found[_KNEES] &= inside[_ANKLES] | (visibility[_KNEES] >= _SURE)
  if not found[_KNEES].any():
    found[_HIPS] = False
  return np.where(found[:, None], points, 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Discards what native code writes to standard error."""
  try:
    kept = os.dup(2)
  except OSError:  # There is none.
    yield
    return
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  try:
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)


def detect_image(
  path: pathlib.Path, box: Box | None = None
) -> tuple[Clip, list[np.ndarray]]:
  """Finds the people in an image file; see `find_people`.

  Returns:
    The clip, and the keypoints, `[33, 3]`, of everybody in it.

  Raises:
    UserError: The image cannot be read, or nobody is in it.
    SettingError: MediaPipe is not installed, or the box is outside the image.
  """
  image = read_image(path)
  album = Album.of(image)
  if box is not None:
    box = read_box(box, album.image_size)
  people = find_people(image, box)
  if not people:
    raise UserError(
      f'{path}: nobody was found in it; say where a person is by `box=x,y,w,h`'
    )
  numbered = [Detection(p.keypoints, n) for n, p in enumerate(people, start=1)]
  clip = _clip(path.stem, str(path), {0: numbered}, album)
  return clip, [person.keypoints for person in people]


def detect_video(
  video: Video, name: str, box: Box | None = None
) -> tuple[Clip, list[np.ndarray]]:
  """Finds one person in a video; see `follow`, and `detect_image` for errors.

  Args:
    video: The video.
    name: The name of the clip.
    box: The person's box in the first image.

  Returns:
    The clip, and the keypoints, `[33, 3]`, of everybody in the first image.
  """
  album, frames, first = Album(), {}, []

  def pictures():
    for number, picture in enumerate(
      rich.progress.track(video, 'detecting', transient=True)
    ):
      album.add(number, picture)
      if number == 0 and box is not None:
        read_box(box, album.image_size)
      elif number == 0:
        first.extend(person.keypoints for person in find_people(picture))
      yield picture

  for number, person in enumerate(follow(pictures(), box)):
    if person is not None:
      frames[number] = [Detection(person.keypoints, 1)]
  if not frames:
    raise UserError(f'{video.name}: nobody was found in it')
  album.time_by(video)  # A camera's rate has been measured meanwhile.
  video.check_cuts()
  frames = album.numbered(frames, video.name)
  return _clip(name, name, frames, album), first


def _clip(
  name: str, source: str, frames: dict[int, list[Detection]], album: Album
) -> Clip:
  """Builds the clip of the people found in the images of an album."""
  people, size = track(frames, album.fps), album.image_size
  return Clip(name, people, album.fps, size, album, 'mediapipe', source=source)
