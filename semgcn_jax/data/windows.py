"""Cuts clips into windows of one size, for networks that see time."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError


@dataclasses.dataclass(frozen=True)
class Windows:
  """W windows of K frames each.

  Attributes:
    rows: The rows of the frames, `[W, K]`; the last one is repeated where a
      clip ends before its window.
    lengths: How many frames of each window are not repeated, `[W]` int32.
    own: The frames that a window is there for, `[W, K]`; the others are seen,
      but are another window's. Every row is the own of one window.
  """

  rows: np.ndarray
  lengths: np.ndarray
  own: np.ndarray


def step_of(fps: float, frame_rate: float) -> int:
  """Finds the step from a frame that is taken to the next.

  Args:
    fps: The frames a second that there are.
    frame_rate: About how many are to be taken.
  """
  return max(1, round(fps / frame_rate))


def known_fps(pairs: Pairs) -> float:
  """Takes the frames a second of pairs.

  Raises:
    SettingError: They are not known.
  """
  if not pairs.fps:
    raise SettingError('`fps`: say how many frames a second the files have')
  return pairs.fps


def clip_bounds(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
  """Finds the first and the last row of the view of each pair, `[N]` each."""
  starts = _starts(pairs)
  ends = np.append(starts[1:], len(pairs)) - 1
  counts = ends - starts + 1
  first, last = (np.repeat(rows, counts) for rows in (starts, ends))
  return first.astype(np.int32), last.astype(np.int32)


def sequences(pairs: Pairs, step: int) -> list[np.ndarray]:
  """Lists the rows of each view in steps: from its first frame, its second, ...

  Args:
    pairs: The pairs.
    step: The step from a frame to the next, at least 1.

  Returns:
    Rows, `[n]` each; all rows of the pairs, each once.
  """
  views = np.split(np.arange(len(pairs)), _starts(pairs)[1:])
  return [
    rows[phase::step] for rows in views for phase in range(min(step, len(rows)))
  ]


def cut(
  clips: Sequence[np.ndarray], size: int, before: int, after: int
) -> Windows:
  """Cuts clips into windows, so that each frame sees what it depends on.

  Args:
    clips: The rows of each clip, `[n]`, at least one.
    size: The number of frames of a window, K, above `before` + `after`.
    before: How many frames before it a pose depends on.
    after: How many frames behind it a pose depends on.
  """
  rows, lengths, own = [], [], []
  for clip in clips:
    start, done = 0, 0
    while done < len(clip):
      end = min(start + size, len(clip))
      until = end if end == len(clip) else end - after
      numbers = np.arange(start, start + size)
      rows.append(clip[np.minimum(numbers, end - 1)])
      lengths.append(end - start)
      own.append((numbers >= done) & (numbers < until))
      start, done = until - before, until
  return Windows(np.stack(rows), np.array(lengths, np.int32), np.stack(own))


def _starts(pairs: Pairs) -> np.ndarray:
  """Finds the rows where views begin, ascending."""
  assert pairs.views is not None
  return np.flatnonzero(np.diff(pairs.views, prepend=-1))
