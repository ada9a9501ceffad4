"""Tells the people of a clip apart: whose keypoints are whose, and when."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from semgcn_jax.detections.clips import Person
from semgcn_jax.detections.persons import Detection

LEAST_OKS = 0.2  # Keypoints that are less alike are of different people.
# A person who was not seen for more of the frames that there are is a new one.
MOST_GAP = 15
MOST_LOST = 30  # In longer times of not being seen a person has no poses.
# How far the keypoints of a person spread, over the person's size, from frame
# to frame and from annotator to annotator (the mean of COCO's constants).
_SPREAD = 0.15


def track(frames: Mapping[int, Sequence[Detection]]) -> tuple[Person, ...]:
  """Tells whose keypoints are whose, in all frames.

  Where the file numbers the people, its numbers count. Otherwise the people of
  a frame are matched with those before by the similarity of their keypoints
  (OKS), so that the sum of all similarities is highest.

  Args:
    frames: {number of a frame: its people}.

  Returns:
    The people, ordered by their first frame.
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
  taken = {str(n) for row in numbers for n in row if n is not None and numbered}
  matched = 0
  for frame in sorted(frames):
    people = [p for p in frames[frame] if (p.keypoints[:, 2] > 0).any()]
    unnamed = []
    for person in people:
      if person.track is None or not numbered:
        unnamed.append(person)
      else:
        name = str(person.track)
        parts.setdefault(name, []).append((frame, person.keypoints))
    last = {
      name: part[-1]
      for name, part in parts.items()
      if frame - MOST_GAP * step <= part[-1][0] < frame
    }
    names = list(last)
    likeness = np.array(
      [[oks(last[n][1], p.keypoints) for n in names] for p in unnamed]
    ).reshape(len(unnamed), len(names))
    likeness[likeness < LEAST_OKS] = 0
    rows, columns = linear_sum_assignment(-likeness)
    found = {
      row: names[column]
      for row, column in zip(rows, columns, strict=True)
      if likeness[row, column] > 0
    }
    for row, person in enumerate(unnamed):
      name = found.get(row)
      while name is None or (row not in found and name in taken):
        matched += 1
        name = str(matched)
      taken.add(name)
      parts.setdefault(name, []).append((frame, person.keypoints))
  return tuple(
    Person(
      name,
      np.array([frame for frame, _ in part]),
      np.stack([keypoints for _, keypoints in part]),
    )
    for name, part in parts.items()
  )


def cut_track(frames: np.ndarray) -> tuple[list[np.ndarray], int]:
  """Cuts a track wherever nothing was seen for more than `MOST_LOST` frames.

  Args:
    frames: The numbers of the frames in which the person was seen, `[T]`.

  Returns:
    The rows of each part, `[K]`, and the step from a frame to the next, where
    it is another than 1: the keypoints may be those of every n-th frame.
  """
  steps = np.diff(frames)
  step = int(np.gcd.reduce(steps)) if len(steps) else 1
  starts = np.flatnonzero(steps > (MOST_LOST + 1) * step) + 1
  return np.split(np.arange(len(frames)), starts), step


def every_frame(
  frames: np.ndarray, keypoints: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray]:
  """Fills the frames in which a person was not seen by empty keypoints.

  Args:
    frames: The numbers of the frames, `[T]`.
    keypoints: The keypoints in them, `[T, J, 3]`.
    step: The step from a frame to the next.

  Returns:
    The numbers and the keypoints of all frames from the first to the last.
  """
  every = np.arange(int(frames[0]), int(frames[-1]) + 1, step)
  filled = np.zeros((len(every), *keypoints.shape[1:]), keypoints.dtype)
  filled[(frames - frames[0]) // step] = keypoints
  return every, filled


def oks(first: np.ndarray, second: np.ndarray) -> float:
  """Measures how alike the keypoints `[J, 3]` of two people are, from 0 to 1.

  This is COCO's object keypoint similarity, with one constant for all
  keypoints, over those that both have.
  """
  both = (first[:, 2] > 0) & (second[:, 2] > 0)
  if not both.any():
    return 0.0
  xy = first[first[:, 2] > 0, :2]
  size = max(float((xy.max(axis=0) - xy.min(axis=0)).max()), 1.0)
  off = np.linalg.norm(first[both, :2] - second[both, :2], axis=-1) / size
  return float(np.exp(-np.square(off / _SPREAD) / 2).mean())
