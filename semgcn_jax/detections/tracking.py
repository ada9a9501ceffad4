"""Tracks people through the frames of a clip."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from semgcn_jax.detections.clips import Person
from semgcn_jax.detections.persons import Detection

LEAST_OKS = 0.2  # Keypoints less alike than this are different people's.
MOST_GAP = 15  # After more missing frames, a person counts as a new one.
MOST_LOST = 30  # In longer gaps a person has no poses.
# The spread of a person's keypoints between frames and annotators, over the
# person's size (the mean of COCO's constants).
_SPREAD = 0.15


def track(frames: Mapping[int, Sequence[Detection]]) -> tuple[Person, ...]:
  """Links detections to people, ordered by their first frame.

  Track numbers in the file are used if there are any. Otherwise people are
  matched with those of earlier frames so as to maximize the sum of keypoint
  similarities (OKS).

  Args:
    frames: {number of a frame: its people}.
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
      if frame - MOST_GAP * step <= part[-1][0] < frame
    }
    found = _match(unnamed, last)
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


def _match(
  people: Sequence[np.ndarray], last: Mapping[str, np.ndarray]
) -> dict[int, str]:
  """Matches people to the last keypoints of known ones, {index: name}."""
  names = list(last)
  likeness = np.array(
    [[oks(last[name], keypoints) for name in names] for keypoints in people]
  ).reshape(len(people), len(names))
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


def oks(first: np.ndarray, second: np.ndarray) -> float:
  """Returns the similarity of two people's keypoints `[J, 3]`, from 0 to 1.

  This is COCO's object keypoint similarity over the keypoints that both have,
  with one constant for all of them.
  """
  both = (first[:, 2] > 0) & (second[:, 2] > 0)
  if not both.any():
    return 0.0
  xy = first[first[:, 2] > 0, :2]
  size = max(float((xy.max(axis=0) - xy.min(axis=0)).max()), 1.0)
  off = np.linalg.norm(first[both, :2] - second[both, :2], axis=-1) / size
  return float(np.exp(-np.square(off / _SPREAD) / 2).mean())
