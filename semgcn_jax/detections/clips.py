"""People in the frames of a clip: what was found of them, and their poses."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from semgcn_jax.detections.persons import Person


@dataclasses.dataclass(frozen=True)
class Clip:
  """The keypoints of people in the frames of a clip.

  Attributes:
    name: The name of the clip.
    source: The file that it is of, for messages.
    frames: {number of a frame: its people}, in pixels.
    image_size: The width and height of the images, in pixels.
  """

  name: str
  source: str
  frames: Mapping[int, Sequence[Person]]
  image_size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class PersonPoses:
  """A person's poses in a clip.

  Attributes:
    clip: The name of the clip.
    person: The name of the person in it.
    frames: The numbers of the frames, ascending, `[T]`.
    poses: The poses, `[T, J, 3]`, metres, the root at the origin, camera frame;
      NaN where it is not known.
    image_size: The width and height of the images, in pixels.
    errors: The expected error of each joint, `[T, J]`, metres; None or NaN
      where it is not known.
    keypoints: What the poses were lifted from, `[T, J, 3]`: pixels, and the
      confidence, which is 0 where a joint was not found; None if not known.
    places: Where the root is in the camera frame, `[T, 3]`, metres; None or
      NaN where it is not known.
    truth: The true poses, `[T, J, 3]`, as `poses`; None if not known.
  """

  clip: str
  person: str
  frames: np.ndarray
  poses: np.ndarray
  image_size: tuple[int, int]
  errors: np.ndarray | None = None
  keypoints: np.ndarray | None = None
  places: np.ndarray | None = None
  truth: np.ndarray | None = None
