"""Runs a network that sees time over clips of any length and frame rate.

A network works at about one frame rate. A clip at a higher rate is split into n
phases, each made of every n-th frame, which are lifted separately and averaged
with their neighbors, or, by a causal network, steadied. A clip at a lower rate
is interpolated.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from scipy.ndimage import convolve1d

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.skeletons import (
  H36M,
  Skeleton,
  bone_vectors,
  join_bones,
)
from semgcn_jax.inference.steadying import steady
from semgcn_jax.models.batches import run_batches
from semgcn_jax.models.temporal import reach
from semgcn_jax.models.windows import cut, step_of

# Below these (frames, frames per second) a single-frame network may do better.
_LONG, _SLOWEST = 5, 2.5
_SIZES = (32, 128)  # Clips up to these lengths are lifted as one window.
_OWN = 256  # Poses each window of a longer clip outputs; the rest is context.
_BATCH_SIZES = (1, 4)  # In windows.


def times_of(fps: float, frame_rate: float) -> tuple[int, int]:
  """Matches the frame rate of a clip to that of a network.

  Returns:
    The step between the frames of a phase, and the number of frames to
    interpolate each frame to; at least one of them is 1.
  """
  return step_of(fps, frame_rate), step_of(frame_rate, fps)


def between(points: np.ndarray, parts: int) -> np.ndarray:
  """Interpolates points between frames.

  Args:
    points: The points, `[T, P, 3]`.
    parts: The number of frames to make of each, K.

  Returns:
    The points of `(T - 1) K + 1` frames. Between two frames a point is found if
    it is in both, with the lower confidence.
  """
  if parts == 1 or len(points) == 1:
    return points
  shares = np.arange(parts)[None, :, None, None] / parts
  first, second = points[:-1, None], points[1:, None]
  result = first + shares * (second - first)
  lower = np.minimum(first[..., 2], second[..., 2])
  result[:, 1:, :, 2] = lower
  result[:, 1:] *= (lower > 0)[..., None]
  result = result.reshape(-1, *points.shape[1:])
  return np.concatenate([result, points[-1:]]).astype(points.dtype)


def is_long(count: int, fps: float, model: ModelConfig) -> bool:
  """Returns whether `count` frames are enough for a network that sees time."""
  step, _ = times_of(fps, model.frame_rate)
  return fps >= _SLOWEST and count > (_LONG - 1) * step


def run_clip(
  program: Callable[..., tuple[jax.Array, jax.Array]],
  arrays: Sequence[np.ndarray],
  fps: float,
  model: ModelConfig,
  skeleton: Skeleton = H36M,
) -> tuple[np.ndarray, np.ndarray]:
  """Lifts a clip.

  Args:
    program: Maps the arrays of windows, `[B, K, ...]`, and their lengths,
      `[B]`, to poses and errors, `[B, K, ...]`.
    arrays: The points, `[T, P, 3]`, and the other arrays of each frame,
      `[T, ...]`.
    fps: The frame rate of the clip.

  Returns:
    The poses, `[T, J, 3]`, metres, and the errors, `[T, J]`, metres.
  """
  points, *others = arrays
  step, parts = times_of(fps, model.frame_rate)
  arrays = [between(points, parts)]
  rows = np.arange(len(arrays[0]))
  # Interpolated frames take everything else from the frame before.
  arrays += [array[rows // parts] for array in others]
  before, after = reach(model)
  longest = -(-len(rows) // step)
  whole = [size for size in _SIZES if size >= longest]
  size = whole[0] if whole else before + after + _OWN
  windows = cut(
    [rows[phase::step] for phase in range(min(step, len(rows)))],
    *(size, before, after),
  )
  results = run_batches(
    lambda batch: program(
      *(array[windows.rows[batch]] for array in arrays), windows.lengths[batch]
    ),
    len(windows.rows),
    _BATCH_SIZES,
  )
  poses, errors = map(windows.join, results)
  if step > 1:
    poses = (
      steady(poses, fps, skeleton)
      if model.causal
      else blend(poses, step, skeleton)
    )
  return poses[::parts], errors[::parts]


def blend(
  poses: np.ndarray, step: int, skeleton: Skeleton = H36M
) -> np.ndarray:
  """Averages each pose with those of other phases around it.

  Neighboring frames are lifted separately, so their errors differ. Each bone
  gets the direction of its mean vector and its mean length, which keeps bodies
  within bounds, with weights that fall linearly to 0 within `step` frames. The
  clip is continued by point reflection, so that steady motion is unchanged.

  Args:
    poses: The poses, `[T, J, 3]`, metres, the root at the origin.
    step: The number of frames from one of a phase to the next.

  Returns:
    The averaged poses, `[T, J, 3]`, metres.
  """
  if step == 1 or len(poses) == 1:
    return poses
  weights = step - np.abs(np.arange(1 - step, step))

  def average(values):
    ends = [(step - 1, step - 1), *[(0, 0)] * (values.ndim - 1)]
    padded = np.pad(values, ends, 'reflect', reflect_type='odd')
    mean = convolve1d(padded, weights / weights.sum(), axis=0)
    return mean[step - 1 : 1 - step]

  bones = bone_vectors(poses, skeleton)
  lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
  mean = average(bones)
  norms = np.linalg.norm(mean, axis=-1, keepdims=True)
  # Bones that point in opposite directions have no mean direction.
  along = np.where(norms > 1e-6, mean, bones)
  norms = np.linalg.norm(along, axis=-1, keepdims=True)
  scales = average(lengths) / np.maximum(norms, 1e-6)
  return join_bones(along * scales, skeleton).astype(poses.dtype)
