"""Detects the people of pictures and videos, as clips."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from semgcn_jax.detections import mediapipe, rtmlib
from semgcn_jax.detections.clips import Clip
from semgcn_jax.detections.finding import (
  choose_in_box,
  find_in_box,
  find_people,
  is_plausible,
  size_of,
)
from semgcn_jax.detections.following import ABSENT, follow
from semgcn_jax.detections.persons import Detection
from semgcn_jax.detections.tracking import track
from semgcn_jax.errors import SettingError, UserError, counted
from semgcn_jax.pictures.crops import Box, read_box
from semgcn_jax.pictures.images import read_image
from semgcn_jax.pictures.videos import Album, Video

_LEAST_TIME = 0.3  # Seconds, or as a share of a short video.
_LEAST_PLAUSIBLE = 0.5  # Of the images that show somebody.


@dataclasses.dataclass(frozen=True)
class Detector:
  """What detects people.

  Attributes:
    name: One of `choices.DETECTORS`.
    model: The file of its network, or files joined by a comma; if empty, those
      that come with it.
  """

  name: str = 'mediapipe'
  model: str = ''


def detect_image(
  path: pathlib.Path,
  detector: Detector,
  *,
  box: Box | None = None,
  most: int | None = None,
) -> Clip:
  """Finds the people in an image file.

  Args:
    path: The file.
    detector: What detects people.
    box: Left, top, width and height of the only person to find, pixels.
    most: The people to keep, the most prominent ones; None keeps everybody.

  Raises:
    UserError: The image cannot be read, or nobody is in it, or in the box.
    SettingError: The detector is not installed, or the box is outside the
      image.
  """
  image = read_image(path)
  album = Album.of(image)
  if box is not None:
    box = read_box(box, album.image_size)
  if detector.name == 'rtmlib':
    people = rtmlib.detector(detector.model)(image)
    if box is not None:
      people = [people[choose_in_box([p.keypoints for p in people], box)]]
  else:
    with mediapipe.landmarker(model=detector.model) as find:
      people = (
        find_people(find, image)
        if box is None
        else [find_in_box(find, image, box)]
      )
  if not people:
    raise UserError(
      f'{path}: nobody was found in it; say where a person is by `box=x,y,w,h`'
    )
  everybody = [{0: person.keypoints} for person in people]
  everybody = _most_prominent(everybody, most)
  return _clip(path.stem, str(path), everybody, album)


def detect_video(
  video: Video,
  name: str,
  detector: Detector,
  *,
  box: Box | None = None,
  box_at: int = 0,
  most: int | None = None,
) -> Clip:
  """Finds and follows the people in a video; see `detect_image` for errors.

  Who is seen for a moment only, or does not have the proportions of a person,
  is left out, and a note says so.

  Args:
    video: The video.
    name: The name of the clip.
    detector: What detects people.
    box: Left, top, width and height of the only person to follow, pixels.
    box_at: The number of the image in which the box is.
    most: The people to keep, as for images.
  """
  album = Album()
  if box is not None and video.length and box_at >= video.length:
    raise _no_image(video, box_at, video.length)

  def pictures():
    for number, picture in enumerate(album.fill(video)):
      if number == box_at and box is not None:
        read_box(box, album.image_size)
      yield picture

  if detector.name == 'rtmlib':
    everybody = _track_all(pictures(), detector, video)
  else:
    with mediapipe.landmarker(model=detector.model) as find:
      everybody = follow(
        pictures(),
        find,
        functools.partial(
          mediapipe.landmarker, tracks=True, model=detector.model
        ),
        fps=video.fps,
        box=box,
        box_at=box_at,
        is_cut=lambda number: number in video.cuts,
      )
  if box is None:
    everybody = _worth_following(everybody, album.count, video)
  elif box_at >= album.count:
    raise _no_image(video, box_at, album.count)
  elif detector.name == 'rtmlib':
    everybody = [_in_box(everybody, box, box_at)]
  if not everybody:
    raise UserError(f'{video.name}: nobody was found in it')
  everybody = _most_prominent(everybody, most)
  album.time_by(video)  # A camera's rate has been measured meanwhile.
  video.check_cuts()
  everybody = [album.numbered(found, video.name) for found in everybody]
  return _clip(name, name, everybody, album)


def _no_image(video: Video, number: int, count: int) -> SettingError:
  """Builds the error for a box in an image that a video does not have."""
  return SettingError(
    f'`box`: is in image {number} of {video.name}, the last of which is'
    f' {count - 1}'
  )


def _track_all(
  pictures: Iterable[np.ndarray], detector: Detector, video: Video
) -> list[dict[int, np.ndarray]]:
  """Finds everybody in each image, and tracks them from cut to cut."""
  find = rtmlib.detector(detector.model)
  scenes: dict[int, dict[int, list[Detection]]] = {}
  for number, picture in enumerate(pictures):
    scenes.setdefault(len(video.cuts), {})[number] = find(picture)
  return [
    dict(zip(person.frames.tolist(), person.keypoints, strict=True))
    for frames in scenes.values()
    for person in track(frames, video.fps, round(ABSENT * video.fps))
    if person.keypoints is not None
  ]


def _in_box(
  everybody: Sequence[dict[int, np.ndarray]], box: Box, number: int
) -> dict[int, np.ndarray]:
  """Chooses who fits a box best in the image of a number."""
  here = [found for found in everybody if number in found]
  return here[choose_in_box([found[number] for found in here], box)]


def _worth_following(
  everybody: Sequence[dict[int, np.ndarray]], count: int, video: Video
) -> list[dict[int, np.ndarray]]:
  """Leaves out who is seen for a moment, or is not shaped like a person."""
  least = min(_LEAST_TIME * video.fps, _LEAST_TIME * count)
  kept, short, odd = [], 0, 0
  for found in everybody:
    plausible = np.mean(
      [is_plausible(k, joint_set_of(k)) for k in found.values()]
    )
    if len(found) < least:
      short += 1
    elif plausible < _LEAST_PLAUSIBLE:
      odd += 1
    else:
      kept.append(found)
  reasons = [
    f'{counted(number, "person", "people")} {reason}'
    for number, reason in (
      (short, f'seen for less than {least / video.fps:.1f} s'),
      (odd, 'without the proportions of one'),
    )
    if number
  ]
  if reasons:
    logging.getLogger('semgcn_jax').warning(
      '%s: left out %s; `box` chooses a person', video.name, ', '.join(reasons)
    )
  return kept


def _most_prominent(
  everybody: Sequence[dict[int, np.ndarray]], most: int | None
) -> list[dict[int, np.ndarray]]:
  """Keeps those who are largest and seen longest, in their order."""
  if most is None or len(everybody) <= most:
    return list(everybody)

  def prominence(place):
    return sum(map(size_of, everybody[place].values()))

  places = sorted(range(len(everybody)), key=prominence)[-most:]
  return [everybody[place] for place in sorted(places)]


def _clip(
  name: str,
  source: str,
  everybody: Sequence[Mapping[int, np.ndarray]],
  album: Album,
) -> Clip:
  """Builds the clip of the people found in the images of an album."""
  frames: dict[int, list[Detection]] = {}
  for identity, found in enumerate(everybody, start=1):
    for number, keypoints in found.items():
      frames.setdefault(number, []).append(Detection(keypoints, identity))
  people = track(frames, album.fps)
  joint_set = joint_set_of(next(iter(everybody[0].values())))
  return Clip(
    *(name, people, album.fps, album.image_size, album, joint_set),
    source=source,
  )


def joint_set_of(keypoints: np.ndarray) -> str:
  """Returns the key in `JOINT_SETS` of what was detected, `[J, 3]`."""
  if len(keypoints) == len(mediapipe.NAMES):
    return mediapipe.JOINTS
  return rtmlib.JOINTS_BY_NUMBER[len(keypoints)]
