"""Lifts the people of a live video: a stream each, and all in one room."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Unpack

import numpy as np

from semgcn_jax.geometry.joint_sets import MIN_KEYPOINTS, joints_of
from semgcn_jax.inference.arguments import Options, knows_lens
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.stream import Stream
from semgcn_jax.motion.path import SOLE, typical_places
from semgcn_jax.motion.upright import pitch_of, room_turn

_ABSENT = 2.0  # Seconds after which a stream ends.
_STEADY = 0.5  # Seconds over which places and the pitch are averaged.
_POSES = 200  # The last poses, from which the pitch is estimated,
_EVERY = 10  # after so many images.


@dataclasses.dataclass(frozen=True)
class Pose:
  """A person in an image of a live video.

  Attributes:
    number: The number of the person.
    keypoints: The 16 joints in the image, `[16, 3]`, pixels and confidence.
    positions: The joints in the room, `[16, 3]`, metres, y up, see `upright`.
    errors: The expected error of each, `[16]`, metres.
  """

  number: int
  keypoints: np.ndarray
  positions: np.ndarray
  errors: np.ndarray


@dataclasses.dataclass
class _Person:
  """A person's stream, the image that showed them last, and their place."""

  stream: Stream
  seen: int
  place: np.ndarray | None = None


class Stage:
  """The people of a live video in a room.

  Attributes:
    pitch: The angle by which the camera looks down, degrees.
  """

  def __init__(
    self,
    lifter: Lifter,
    joint_set: str,
    image_size: tuple[int, int],
    fps: float,
    *,
    pitch: float | None = None,
    **options: Unpack[Options],
  ):
    """Starts without anybody.

    Args:
      lifter: A causal lifter.
      joint_set: The key in `JOINT_SETS` of what is detected.
      image_size: The width and height of the images, pixels.
      fps: The images per second.
      pitch: The angle by which the camera looks down, degrees; None estimates
        it from people who stand.
      **options: See `arguments.Options`.

    Raises:
      SettingError: The lifter is not causal, or an argument is wrong.
    """
    self.pitch = pitch or 0.0
    self._estimates = pitch is None
    self._lifter, self._joint_set, self._fps = lifter, joint_set, fps
    self._size, self._options = image_size, options
    self._people: dict[int, _Person] = {}
    self._poses: collections.deque[np.ndarray] = collections.deque(
      maxlen=_POSES
    )
    self._count = 0
    self._origin: np.ndarray | None = None
    self._new_stream()  # What it compiles is ready when somebody comes.

  def advance(self, found: Mapping[int, np.ndarray]) -> list[Pose]:
    """Lifts the people of the next image.

    Args:
      found: {number of a person: their keypoints, `[J, 3]`}.

    Returns:
      Whom the image shows well enough, by number.
    """
    self._count += 1
    for number in [n for n in self._people if self._has_left(n)]:
      del self._people[number]
    lifted = {}
    for number, keypoints in sorted(found.items()):
      if number not in self._people:
        self._people[number] = _Person(self._new_stream(), self._count)
      person = self._people[number]
      person.seen = self._count
      result = person.stream(keypoints)
      if np.isfinite(result.poses).all():
        lifted[number] = result
        self._poses.append(result.poses)
    self._look_down()
    return [
      self._placed(
        number, np.asarray(found[number]), result.poses, result.errors
      )
      for number, result in lifted.items()
    ]

  def _has_left(self, number: int) -> bool:
    away = self._count - self._people[number].seen
    return away > _ABSENT * self._fps

  def _new_stream(self) -> Stream:
    return self._lifter.stream(
      *(self._size, self._joint_set),
      fps=self._fps,
      check=False,
      **self._options,
    )

  def _look_down(self) -> None:
    """Estimates the pitch from the last poses, now and then."""
    if not self._estimates or self._count % _EVERY or not self._poses:
      return
    pitch = pitch_of(np.stack(self._poses))
    if pitch is not None:
      share = self._share(_EVERY)
      self.pitch += share * (pitch - self.pitch)

  def _share(self, images: int = 1) -> float:
    """Returns by how much an average moves to what images show."""
    return 1 - float(np.exp(-images / (_STEADY * self._fps)))

  def _placed(
    self,
    number: int,
    keypoints: np.ndarray,
    pose: np.ndarray,
    errors: np.ndarray,
  ) -> Pose:
    """Puts a pose, `[16, 3]`, into the room."""
    person, turn = self._people[number], room_turn(self.pitch)
    joints = joints_of(keypoints, self._joint_set)
    place = self._place(keypoints, joints, pose)
    if place is not None:
      if person.place is None:
        person.place = place
      person.place = person.place + self._share() * (place - person.place)
    root = np.zeros(3) if person.place is None else turn @ person.place
    if self._origin is None:
      self._origin = root
    positions = pose @ turn.T + (root - self._origin)
    positions[:, 1] += SOLE - positions[:, 1].min()
    return Pose(number, joints, positions, errors)

  def _place(
    self, keypoints: np.ndarray, joints: np.ndarray, pose: np.ndarray
  ) -> np.ndarray | None:
    """Finds a person's place in the camera frame, `[3]`; None if unknown."""
    if knows_lens(self._options):
      place = self._lifter.place(
        *(pose, keypoints, self._size, self._joint_set), **self._options
      )
      return place if np.isfinite(place).all() else None
    if (joints[:, 2] > 0).sum() < MIN_KEYPOINTS:
      return None
    return typical_places(pose[None], joints[None], self._size)[0]
