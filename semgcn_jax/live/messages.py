"""Encodes what the live page shows of an image."""

import json
from collections.abc import Sequence

import numpy as np

from semgcn_jax.figures.page import picture_url
from semgcn_jax.live.lifting import Pose
from semgcn_jax.pictures import images

_LONGEST = 640  # Of the images on the page, pixels.


def message(
  taken: float,
  picture: np.ndarray,
  people: Sequence[Pose],
  pitch: float | None,
) -> str:
  """Encodes an image and its people as JSON, which `live.js` decodes.

  Args:
    taken: When the image was taken, in seconds of `time.time`.
    picture: The image, `[H, W, 3]` uint8.
    people: Those who are in it.
    pitch: The angle by which the camera looks down, degrees; None if unknown.
  """
  note = ''
  if pitch is not None:
    way = 'down' if pitch >= 0 else 'up'
    note = f'The camera looks {way} by {abs(pitch):.0f}°.'
  content = {
    'taken': round(1000 * taken),
    'size': (picture.shape[1], picture.shape[0]),
    'picture': picture_url(images.to_jpeg(picture, _LONGEST)),
    'people': [_person(person) for person in people],
    'note': note,
  }
  return json.dumps(content, allow_nan=False)


def _person(person: Pose) -> dict[str, object]:
  """Describes a person: millimetres, and pixels."""
  found = person.keypoints[:, 2] > 0
  places = person.keypoints[:, :2].round(1).tolist()
  return {
    'name': str(person.number),
    'positions': _millimetres(person.positions),
    'expected': _millimetres(person.errors),
    'keypoints': [
      x if seen else None
      for place, seen in zip(places, found, strict=True)
      for x in place
    ],
    'confidence': np.minimum(person.keypoints[:, 2], 1).round(2).tolist(),
  }


def _millimetres(array: np.ndarray) -> list[int]:
  """Rounds metres; unknown ones become 0."""
  return np.round(np.nan_to_num(array) * 1000).astype(int).ravel().tolist()
