"""Windows of clips, for networks that see time.

Whole clips are cut into windows for prediction and scoring; training takes
windows around rows of arrays that stay on the devices.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Windows:
  """W windows of K frames each.

  Attributes:
    rows: The rows of the frames, `[W, K]`; the last one is repeated where a
      clip ends before its window.
    lengths: The number of frames before the repeats, `[W]` int32.
    own: Whether a window outputs a frame, `[W, K]`; the others are context.
      Every row is output by one window.
  """

  rows: np.ndarray
  lengths: np.ndarray
  own: np.ndarray

  def join(self, values: np.ndarray) -> np.ndarray:
    """Joins the outputs of the windows: `[W, K, ...]` -> `[N, ...]`."""
    joined = np.empty((int(self.own.sum()), *values.shape[2:]), values.dtype)
    joined[self.rows[self.own]] = values[self.own]
    return joined


def step_of(fps: float, frame_rate: float) -> int:
  """Returns the step between frames to sample `fps` at about `frame_rate`."""
  return max(1, round(fps / frame_rate))


def cut(
  clips: Sequence[np.ndarray], size: int, before: int, after: int
) -> Windows:
  """Cuts clips into windows, so that each pose has the frames it depends on.

  Args:
    clips: The rows of each clip, `[n]`, at least one.
    size: The number of frames of a window, K, above `before` + `after`.
    before: The number of earlier frames that a pose depends on.
    after: The number of later frames that a pose depends on.
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


def take_windows(
  arrays: dict[str, Array], rows: Array, frames: int, step: int
) -> dict[str, Array]:
  """Takes windows around rows, within their clips where possible.

  Args:
    arrays: The arrays of all poses.
    rows: The rows, `[B]`.
    frames: The number of frames of a window, S.
    step: The step between frames.

  Returns:
    The arrays of the windows, `[B, S, ...]`. A clip that is too short repeats
    its last frame.
  """
  first, last = arrays['first'][rows], arrays['last'][rows]
  span = (frames - 1) * step
  start = jnp.clip(rows - span // 2, first, jnp.maximum(first, last - span))
  index = start[:, None] + step * jnp.arange(frames)
  index = jnp.minimum(index, last[:, None])
  return {
    name: array[index]
    for name, array in arrays.items()
    if name not in ('first', 'last')
  }


def resample(values: Array, times: Array) -> Array:
  """Interpolates clips by cubic splines through their frames (Catmull-Rom).

  Args:
    values: `[B, S, ...]`.
    times: The times in frames, `[B, T]`, from 0 to S - 1.

  Returns:
    `[B, T, ...]`.
  """
  shape = (*times.shape, *[1] * (values.ndim - 2))
  before = jnp.floor(times)
  share = (times - before).reshape(shape)

  def frame(offset):
    index = jnp.clip(before.astype(int) + offset, 0, values.shape[1] - 1)
    index = index.reshape(shape)
    return jnp.take_along_axis(values, index, axis=1)

  a, b, c, d = (frame(offset) for offset in (-1, 0, 1, 2))
  cubic = 3 * (b - c) + d - a
  square = 2 * a - 5 * b + 4 * c - d
  return b + share / 2 * (c - a + share * (square + share * cubic))
