"""Takes windows of clips, within the training step.

The arrays of all poses stay on the devices, `[N, ...]`, with the first and the
last row of each pose's clip, `first` and `last`, `[N]`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.data.windows import clip_bounds, step_of

Array = jax.Array

_FILMED_FPS = 25  # Clips that are filmed are read at about this rate or less.


def bounds(train: Pairs) -> dict[str, np.ndarray]:
  """Makes the arrays `first` and `last`, see above."""
  first, last = clip_bounds(train)
  return {'first': first, 'last': last}


def frames_read(config: Config, fps: float) -> tuple[int, int]:
  """Tells how windows are read.

  Args:
    config: The config of the run.
    fps: The frames a second of the poses.

  Returns:
    How many frames are read for a window, and the step between them. Clips that
    are filmed get other rates afterwards, and so need more frames.
  """
  window = config.training.window
  if not config.model.input_joints:
    return window, step_of(fps, config.model.frame_rate)
  step = step_of(fps, _FILMED_FPS)
  longest = (window - 1) * fps / step / config.filming.rate_low
  return int(np.ceil(longest)) + 1, step


def take_windows(
  arrays: dict[str, Array], rows: Array, frames: int, step: int
) -> dict[str, Array]:
  """Takes windows around rows, as far as possible within their clips.

  Args:
    arrays: The arrays of all poses.
    rows: The rows, `[B]`.
    frames: The number of frames of a window, S.
    step: The step from a frame to the next.

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
