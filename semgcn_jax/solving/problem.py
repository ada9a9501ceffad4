"""Poses the problem of a clip: tracks of its people, and a first guess."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np
from scipy.ndimage import gaussian_filter1d

from semgcn_jax.detections.clips import Person
from semgcn_jax.detections.tracking import cut_track
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.placing import UPRIGHT, place_poses
from semgcn_jax.motion.path import SOLE
from semgcn_jax.solving import body
from semgcn_jax.solving.energy import Problem, Unknowns

FEWEST = 5  # Known poses of a person who is solved,
_SEEN = 0.3  # and the least share of knees and ankles that are seen.
_LEGS = [
  H36M.joints.index(f'{side}{name}')
  for side in 'RL'
  for name in ('Knee', 'Ankle')
]
# The expected error of a joint, metres, if the lifter does not tell; the share
# of it that counts, and the least.
_ERROR, _SHARE, _LEAST = 0.08, 0.7, 0.01
# The noise of keypoints, metres: the least, and how much of their trembling
# about the lifter's poses is added.
_NOISE, _TREMBLE = 0.013, 2.0
_CONFIDENCE = 3
_SURE = 0.8  # The quantile of confidences that counts fully.
_FOOT_DEVIATION = 0.4  # Of the direction of heel and toes, radians.
_LEGS_DEVIATION, _HEIGHT_DEVIATION = 0.05, 0.002
_RATE = 30.0  # Tracks are solved at about so many frames per second.
_SMOOTHED = 0.1  # The first guess of a path is smoothed over so many seconds.


@dataclasses.dataclass(frozen=True)
class Lens:
  """The lens, in pixels.

  Attributes:
    focal: The focal length.
    center: The principal point, `[2]`.
    is_known: Whether they are known, or only likely.
  """

  focal: float
  center: np.ndarray
  is_known: bool

  def place(self, poses: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Places the pelvis of poses, `[T, 3]`, metres; see `place_poses`."""
    count = len(poses)
    focal, center = np.full(count, self.focal), np.tile(self.center, (count, 1))
    return place_poses(poses, keypoints, focal, center)


@dataclasses.dataclass(frozen=True)
class Track:
  """The known poses of a person, T frames; see `Problem` for the others.

  Attributes:
    rows: Which of the person's frames they are, `[T]`.
    numbers: The numbers of the frames, in steps that follow each other, `[T]`.
    places: The first guess of the pelvis in the camera frame, `[T, 3]`, metres.
    ankles: The ankles relative to it, `[T, 2, 3]`, metres.
    noise: How far keypoints are from where they belong, metres.
    fps: How many of the steps between frames are a second.
  """

  rows: np.ndarray
  keypoints: np.ndarray
  directions: np.ndarray
  deviations: np.ndarray
  frames: np.ndarray
  places: np.ndarray
  ankles: np.ndarray
  numbers: np.ndarray
  noise: float
  fps: float

  def part(self, rows: slice | np.ndarray) -> Self:
    """Returns the track of some of the frames."""
    arrays = {
      field.name: getattr(self, field.name)[rows]
      for field in dataclasses.fields(self)
      if field.name not in ('noise', 'fps')
    }
    return dataclasses.replace(self, **arrays)

  def thinned(self) -> Self:
    """Returns the track of every n-th frame, at about `_RATE` a second.

    More frames would tell little that is new, and stiffen the problem.
    """
    n = max(1, round(self.fps / _RATE))
    fewer = self.part(self.numbers % n == 0)
    return dataclasses.replace(
      fewer, numbers=fewer.numbers // n, fps=self.fps / n
    )


def make_track(person: Person, fps: float, lens: Lens) -> Track | None:
  """Makes the track of a lifted person.

  Returns:
    The track; None if too few poses are known, or legs are hardly seen, without
    which solving makes poses worse.
  """
  rows = np.flatnonzero(person.is_whole)
  if person.keypoints is None or len(rows) < FEWEST:
    return None
  poses = np.asarray(person.poses[rows], float)
  seen = np.asarray(person.keypoints[rows], float)
  if (seen[:, _LEGS, 2] > 0).mean() < _SEEN:
    return None
  count = len(rows)
  places = lens.place(poses, seen)
  placed = np.isfinite(places).all(axis=1)
  if placed.sum() < FEWEST:
    return None
  numbers = person.frames[rows]
  _, step = cut_track(person.frames)
  fps = fps / step
  for axis in places.T:
    axis[:] = np.interp(numbers, numbers[placed], axis[placed])
  noise = _noise(poses + places[:, None], seen, lens)
  places = gaussian_filter1d(places, _SMOOTHED * fps, axis=0)
  if person.marked_feet is None:
    feet = np.zeros((count, 4, 3))
  else:
    feet = np.asarray(person.marked_feet[rows], float)
  seen = np.concatenate([seen, feet], axis=1)
  seen[~(seen[..., 2] > 0)] = 0
  # Detectors differ in how sure they are of what is right.
  usual = np.quantile(seen[..., 2][seen[..., 2] > 0], _SURE)
  seen[..., 2] = np.minimum(seen[..., 2] / usual, 1) ** _CONFIDENCE
  frames = body.body_frames(poses)
  directions = body.directions(poses, frames)
  errors = np.full((count, H36M.num_joints), _ERROR)
  if person.errors is not None:
    errors = np.where(
      np.isfinite(person.errors[rows]), person.errors[rows], errors
    )
  ends = [child for _, child in H36M.bones]
  spread = np.maximum(_SHARE * errors[:, ends], _LEAST)
  deviations = np.full((count, len(body.LENGTHS)), _FOOT_DEVIATION)
  deviations[:, : len(ends)] = spread / body.LENGTHS[: len(ends)]
  return Track(
    *(rows, seen, directions, deviations, frames, places),
    poses[:, body.ANKLES],
    (numbers - numbers[0]) // step,
    noise,
    fps,
  )


def _noise(joints: np.ndarray, seen: np.ndarray, lens: Lens) -> float:
  """Estimates how far keypoints are from where they belong, metres.

  What changes from frame to frame in the distance from keypoints to the joints
  of the lifter's poses, which are smooth, is noise; real cameras tremble by 2
  to 7 mm, noisy keypoints at 10 frames per second by 20.

  Args:
    joints: The joints in the camera frame, `[T, 16, 3]`, metres.
    seen: The keypoints, `[T, 16, 3]`, pixels and confidence.
  """
  pixels = lens.focal * joints[..., :2] / joints[..., 2:] + lens.center
  off = (seen[..., :2] - pixels) * joints[:, :1, 2:] / lens.focal
  off[seen[..., 2] <= 0] = np.nan
  change = np.abs(np.diff(off, 2, axis=0))
  change = change[np.isfinite(change)]
  # The median of the absolute values of a normal distribution is 0.67.
  tremble = np.median(change) / 0.67 / np.sqrt(2) if change.size else 0.0
  return _NOISE + _TREMBLE * float(tremble)


def make_problem(
  tracks: Sequence[Track],
  lens: Lens,
  view: np.ndarray,
  *,
  shape: tuple[int, int],
  tilts: tuple[float, float],
  knows_pitch: bool = False,
  height: float | None = None,
) -> Problem:
  """Joins tracks to a problem.

  Args:
    tracks: At most P tracks of at most F frames.
    lens: The lens.
    view: The first guess of the view; see `Problem`.
    shape: The sizes P and F that arrays are padded to.
    tilts: The standard deviations of pitch and roll, radians.
    knows_pitch: Whether the pitch does not change.
    height: The height of the people in metres, if it is known.
  """
  people, frames = shape

  def stack(arrays):
    """Pads arrays `[T, ...]` with their last frames to `[P, F, ...]`."""
    rows = [
      np.concatenate([a, np.repeat(a[-1:], frames - len(a), axis=0)])
      for a in arrays
    ]
    return np.stack(rows + rows[-1:] * (people - len(rows)))

  def one(name):
    values = [getattr(track, name) for track in tracks]
    return np.array(values + values[-1:] * (people - len(values)))

  known = np.zeros(shape)
  for row, track in zip(known, tracks, strict=False):
    row[: len(track.rows)] = 1
  places = stack([track.places for track in tracks])
  names = 'keypoints', 'directions', 'deviations', 'frames'
  arrays = {
    name: stack([getattr(track, name) for track in tracks]) for name in names
  }
  upright = np.concatenate([UPRIGHT, np.zeros(4)])
  larger = 1.0
  if height is not None:
    larger = (height - SOLE) / (body.LENGTHS @ upright)
  numbers = stack([track.numbers for track in tracks])
  return Problem(
    **arrays,
    medians=body.MEDIANS * larger,
    scale=body.LEGS if height is None else upright,
    scale_deviation=_LEGS_DEVIATION if height is None else _HEIGHT_DEVIATION,
    depths=places[..., 2] / lens.focal,
    spots=places[..., :2] / places[..., 2:] * lens.focal,
    known=known,
    follows=np.diff(numbers, prepend=-9, axis=1) == 1,
    fps=one('fps'),
    noise=one('noise'),
    center=lens.center,
    view=view,
    free_view=np.array([not lens.is_known, not knows_pitch, 1, 1], float),
    free_bones=np.ones(()),
    tilts=np.array(tilts),
  )


def first_guess(problem: Problem) -> Unknowns:
  """Makes the first guess: what the lifter says, and the median body."""
  people, frames = problem.known.shape
  return Unknowns(
    directions=problem.directions,
    depths=np.zeros((people, frames)),
    spots=np.zeros((people, frames, 2)),
    lengths=np.zeros((people, len(body.MEDIANS))),
    marks=np.zeros((people, body.BODY.num_joints, 3)),
    view=np.zeros(4),
  )
