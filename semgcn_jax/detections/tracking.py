"""Tracks people through the frames of a clip."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from semgcn_jax.detections.clips import Person
from semgcn_jax.detections.persons import Detection
from semgcn_jax.geometry import rates

N = TypeVar('N')

LEAST_OKS = 0.2  # Keypoints less alike than this are different people's.
MOST_GAP = 15  # After more missing frames, a person counts as a new one.
MOST_LOST = 30  # In longer gaps a person has no poses.
# The spread of a person's keypoints between frames and annotators, over the
# person's size (the mean of COCO's constants).
SPREAD = 0.15
# What is added to the spread, in sizes per second: people walk one or two.
_SPEED = 1.2
# The same person detected twice in a frame: keypoints this close, over the
# person's size, on average.
_SAME = 0.05


def track(
  frames: Mapping[int, Sequence[Detection]],
  fps: float = rates.DEFAULT,
  most_gap: int = MOST_GAP,
) -> tuple[Person, ...]:
  """Links detections to people, ordered by their first frame.

  Track numbers in the file are used if there are any. Otherwise people are
  matched with those of earlier frames so as to maximize the sum of keypoint
  similarities (OKS), which allow for how far people move between frames.
  Without track numbers, a person detected twice in a frame counts once.

  Args:
    frames: {number of a frame: its people}.
    fps: The frames per second.
    most_gap: The frames for which a person may be missing, at most.
  """
  parts: dict[str, list[tuple[int, np.ndarray]]] = {}
  numbers = [[p.track for p in people] for people in frames.values()]
  # Files without a tracker may give everybody the same number.
  numbered = all(
    len({*row} - {None}) == len([n for n in row if n is not None])
    for row in numbers
  )
  # The keypoints may be those of every n-th frame.
  step = int(np.gcd.reduce(np.diff(sorted(frames)))) if len(frames) > 2 else 1
  spread = SPREAD + _SPEED * max(step / fps - 1 / rates.DEFAULT, 0)
  taken = {str(n) for row in numbers for n in row if n is not None and numbered}
  matched = 0
  for frame in sorted(frames):
    unnamed = []
    for person in frames[frame]:
      if not (person.keypoints[:, 2] > 0).any():
        continue
      if person.track is None or not numbered:
        unnamed.append(person.keypoints)
      else:
        name = str(person.track)
        parts.setdefault(name, []).append((frame, person.keypoints))
    last = {
      name: part[-1][1]
      for name, part in parts.items()
      if frame - most_gap * step <= part[-1][0] < frame
    }
    unnamed = _distinct(unnamed)
    found = link(unnamed, last, spread)
    for row, keypoints in enumerate(unnamed):
      name = found.get(row)
      while name is None or (row not in found and name in taken):
        matched += 1
        name = str(matched)
      taken.add(name)
      parts.setdefault(name, []).append((frame, keypoints))
  return tuple(
    Person(
      name,
      np.array([frame for frame, _ in part]),
      np.stack([keypoints for _, keypoints in part]),
    )
    for name, part in parts.items()
  )


def _distinct(people: Sequence[np.ndarray]) -> list[np.ndarray]:
  """Keeps the surest detection of each person in a frame, in their order."""
  if len(people) < 2:
    return list(people)
  points = np.stack(people)
  off = _distances(points, points)
  sure = points[..., 2].sum(axis=-1)
  kept: list[int] = []
  for row in np.argsort(-sure, kind='stable'):
    if not (off[kept, row] < _SAME).any():
      kept.append(int(row))
  return [people[row] for row in sorted(kept)]


def link(
  people: Sequence[np.ndarray],
  last: Mapping[N, np.ndarray],
  spread: float = SPREAD,
) -> dict[int, N]:
  """Finds out who people are from where they were last.

  Args:
    people: The keypoints of each, `[J, 3]`.
    last: {name: keypoints of somebody known, `[J, 3]`}.
    spread: See `oks`.

  Returns:
    {index of one of the people: name} for those who are known.
  """
  names = list(last)
  if not people or not names:
    return {}
  # It takes long to import, and is not needed for one pose.
  from scipy.optimize import linear_sum_assignment

  likeness = oks(np.stack([last[n] for n in names]), np.stack(people), spread).T
  likeness[likeness < LEAST_OKS] = 0
  return {
    row: names[column]
    for row, column in zip(*linear_sum_assignment(-likeness), strict=True)
    if likeness[row, column] > 0
  }


def cut_track(frames: np.ndarray) -> tuple[list[np.ndarray], int]:
  """Cuts a track at gaps of more than `MOST_LOST` frames.

  Args:
    frames: The numbers of the frames that show the person, `[T]`.

  Returns:
    The rows of each part, `[K]`, and the step between frames, which is n if the
    keypoints are those of every n-th frame.
  """
  steps = np.diff(frames)
  step = int(np.gcd.reduce(steps)) if len(steps) else 1
  starts = np.flatnonzero(steps > (MOST_LOST + 1) * step) + 1
  return np.split(np.arange(len(frames)), starts), step


def every_frame(
  frames: np.ndarray, keypoints: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray]:
  """Fills the gaps in a track with empty keypoints.

  Args:
    frames: The numbers of the frames, `[T]`.
    keypoints: The keypoints in them, `[T, J, 3]`.
    step: The step between frames.

  Returns:
    The numbers and the keypoints of all frames from the first to the last.
  """
  every = np.arange(int(frames[0]), int(frames[-1]) + 1, step)
  filled = np.zeros((len(every), *keypoints.shape[1:]), keypoints.dtype)
  filled[(frames - frames[0]) // step] = keypoints
  return every, filled


def oks(
  first: np.ndarray, second: np.ndarray, spread: float = SPREAD
) -> np.ndarray:
  """Returns the similarity of people's keypoints, from 0 to 1.

  This is COCO's object keypoint similarity over the keypoints that both have,
  with one constant for all of them.

  Args:
    first: The keypoints of M people, `[M, J, 3]`.
    second: Those of N people, `[N, J, 3]`.
    spread: The constant.

  Returns:
    The similarity of each pair, `[M, N]`, 0 if no keypoint is common.
  """
  off, both = _offsets(first, second)
  alike = np.exp(-np.square(off / spread) / 2)
  return np.where(both, alike, 0).sum(-1) / np.maximum(both.sum(-1), 1)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns the mean distance of pairs of people, `[M, N]`, over their size."""
  off, both = _offsets(first, second)
  mean = np.where(both, off, 0).sum(-1) / np.maximum(both.sum(-1), 1)
  return np.where(both.any(-1), mean, np.inf)


def _offsets(
  first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns distances over the first size, and which count, `[M, N, J]`."""
  found = first[..., 2] > 0
  low = np.where(found[..., None], first[..., :2], np.inf).min(axis=-2)
  high = np.where(found[..., None], first[..., :2], -np.inf).max(axis=-2)
  size = np.maximum((high - low).max(axis=-1), 1.0)
  both = found[:, None] & (second[None, ..., 2] > 0)
  apart = first[:, None, :, :2] - second[None, ..., :2]
  return np.linalg.norm(apart, axis=-1) / size[:, None, None], both
