"""Finds the hands in pictures and videos, as clips."""

import dataclasses
import pathlib

import numpy as np

from semgcn_jax.config.choices import MAX_HANDS
from semgcn_jax.detections import mediapipe
from semgcn_jax.detections.clips import Clip
from semgcn_jax.detections.persons import Detection
from semgcn_jax.detections.tracking import track
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import HAND
from semgcn_jax.pictures.images import read_image
from semgcn_jax.pictures.videos import Album, Video

_LEAST_TIME = 0.2  # Seconds that a hand of a video must be seen.


def hands_of_image(
  path: pathlib.Path, *, model: str = '', most: int = MAX_HANDS
) -> Clip:
  """Finds the hands in an image file.

  Args:
    path: The file.
    model: The file of MediaPipe's hand landmarker; if empty, that of the
      package.
    most: The most hands to find.

  Raises:
    UserError: The image cannot be read, or no hand is in it.
    SettingError: MediaPipe is not installed, or has no weights.
  """
  image = read_image(path)
  with mediapipe.hand_landmarker(model=model, most=most) as find:
    found = {0: find(image)}
  return _clip(path.stem, str(path), found, Album.of(image))


def hands_of_video(
  video: Video, name: str, *, model: str = '', most: int = MAX_HANDS
) -> Clip:
  """Finds and follows the hands in a video; see `hands_of_image`.

  Hands that are seen for a moment only are left out.

  Args:
    video: The video.
    name: The name of the clip.
    model: See `hands_of_image`.
    most: The most hands in an image.
  """
  album = Album()
  with mediapipe.hand_landmarker(tracks=True, model=model, most=most) as find:
    found = dict(enumerate(map(find, album.fill(video))))
  album.time_by(video)
  found = album.numbered(found, video.name)
  least = min(_LEAST_TIME * video.fps, _LEAST_TIME * album.count)
  return _clip(name, video.name, found, album, least)


def _clip(
  name: str,
  source: str,
  found: dict[int, list[mediapipe.Hand]],
  album: Album,
  least: float = 0.0,
) -> Clip:
  """Tracks hands, and names each after the side that most images show."""
  frames = {
    number: [Detection(hand.keypoints) for hand in hands]
    for number, hands in found.items()
  }
  sides = {
    (number, hand.keypoints.tobytes()): hand.is_left
    for number, hands in found.items()
    for hand in hands
  }
  people, count = [], {'left': 0, 'right': 0}
  for hand in track(frames, album.fps):
    assert hand.keypoints is not None
    if len(hand.frames) < least:
      continue
    shown = zip(hand.frames.tolist(), hand.keypoints, strict=True)
    is_left = np.mean([sides[n, points.tobytes()] for n, points in shown]) > 0.5
    side = 'left' if is_left else 'right'
    count[side] += 1
    number = f' {count[side]}' if count[side] > 1 else ''
    people.append(
      dataclasses.replace(
        hand, name=f'{side}{number}', is_mirrored=bool(is_left)
      )
    )
  if not people:
    raise UserError(f'{source}: no hand was found in it')
  return Clip(
    *(name, tuple(people), album.fps, album.image_size, album, 'mediapipe'),
    skeleton=HAND,
    source=source,
  )
