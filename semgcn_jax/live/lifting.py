"""Lifts the people of a live video: a stream each, and all in one room."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Unpack

import numpy as np

from semgcn_jax.detections.following import ABSENT
from semgcn_jax.geometry.joint_sets import JOINT_SETS, MIN_KEYPOINTS, joints_of
from semgcn_jax.inference.arguments import Options, knows_lens
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.stream import Stream
from semgcn_jax.motion.path import SOLE, typical_places
from semgcn_jax.motion.upright import pitch_of, room_turn

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
  """A person's stream, when they were seen last, and their place."""

  stream: Stream
  seen: float
  place: np.ndarray | None = None


class Stage:
  """The people of a live video in a room.

  Attributes:
    pitch: The angle by which the camera looks down, degrees; None while it is
      not known.
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
    self.pitch = pitch
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

  def change_fps(self, fps: float) -> None:
    """Goes on at another frame rate; streams start anew."""
    self._fps = fps
    for person in self._people.values():
      person.stream = self._new_stream()

  def advance(
    self, seconds: float, found: Mapping[int, np.ndarray]
  ) -> list[Pose]:
    """Lifts the people of the next image.

    Args:
      seconds: When it was taken.
      found: {number of a person: their keypoints, `[J, 3]`}.

    Returns:
      Whom the image shows well enough, by number.
    """
    self._count += 1
    for number, person in list(self._people.items()):
      if seconds - person.seen > ABSENT:
        del self._people[number]
    lifted = {}
    for number, keypoints in sorted(found.items()):
      if number not in self._people:
        self._people[number] = _Person(self._new_stream(), seconds)
      person = self._people[number]
      person.seen = seconds
      result = person.stream(keypoints)
      if np.isfinite(result.poses).all():
        lifted[number] = result
        self._poses.append(result.poses)
    self._look_down()
    return [
      self._placed(number, np.asarray(found[number]), result)
      for number, result in lifted.items()
    ]

  def _new_stream(self) -> Stream:
    return self._lifter.stream(
      *(self._size, self._joint_set),
      fps=self._fps,
      check=False,
      **self._options,
    )

  def _look_down(self) -> None:
    """Estimates the pitch from the last poses, now and then."""
    due = self.pitch is None or self._count % _EVERY == 0
    if not self._estimates or not due or not self._poses:
      return
    pitch = pitch_of(np.stack(self._poses))
    if pitch is not None:
      before = pitch if self.pitch is None else self.pitch
      self.pitch = before + self._share(_EVERY) * (pitch - before)

  def _share(self, images: int = 1) -> float:
    """Returns by how much an average moves to what images show."""
    return 1 - float(np.exp(-images / (_STEADY * self._fps)))

  def _placed(self, number: int, keypoints: np.ndarray, lifted: Lifted) -> Pose:
    """Puts a pose into the room."""
    person, turn = self._people[number], room_turn(self.pitch or 0.0)
    joints = joints_of(keypoints, JOINT_SETS[self._joint_set])
    place = self._place(keypoints, joints, lifted.poses)
    if place is not None:
      if person.place is None:
        person.place = place
      person.place = person.place + self._share() * (place - person.place)
      if self._origin is None:
        self._origin = person.place
    positions = lifted.poses @ turn.T
    if person.place is not None and self._origin is not None:
      positions = positions + turn @ (person.place - self._origin)
    positions[:, 1] += SOLE - positions[:, 1].min()
    return Pose(number, joints, positions, lifted.errors)

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
