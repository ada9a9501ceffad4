"""Runs a network that sees time over clips of any length and frame rate.

A network knows one frame rate, about. So of a clip with a higher one every n-th
frame is taken, from the first, from the second and so on, until all frames have
a pose, and neighbouring poses are averaged; frames between those of a lower one
are interpolated.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from scipy.ndimage import convolve1d

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.joint_sets import joints_of
from semgcn_jax.geometry.skeletons import H36M, bone_vectors, join_bones
from semgcn_jax.models.batches import run_batches
from semgcn_jax.models.inputs import shows_enough
from semgcn_jax.models.temporal import reach
from semgcn_jax.models.windows import cut, step_of

# Of fewer frames, or fewer a second, a network of single frames may err less.
_LONG, _SLOWEST = 5, 2.5
_SIZES = (32, 128)  # Clips of up to so many frames are lifted as one window.
_OWN = 256  # So many frames a window of longer ones is there for.
_BATCH_SIZES = (1, 4)  # So many windows are lifted in a call.


def enough(keypoints: np.ndarray, joints: str) -> np.ndarray:
  """Tells which frames show enough of a person for a network that sees time.

  Args:
    keypoints: The keypoints, `[T, J, 3]`.
    joints: The key of their joint set in `JOINT_SETS`.

  Returns:
    Whether `shows_enough` says so of the 16 joints, `[T]`.
  """
  return shows_enough(joints_of(keypoints, joints))


def times_of(fps: float, frame_rate: float) -> tuple[int, int]:
  """Tells how a network of one frame rate takes a clip of another.

  Args:
    fps: The frames a second of the clip.
    frame_rate: Those of the network.

  Returns:
    The step from a frame to the next, and into how many frames each is divided;
    one of them is 1.
  """
  return step_of(fps, frame_rate), step_of(frame_rate, fps)


def between(points: np.ndarray, parts: int) -> np.ndarray:
  """Interpolates points between frames.

  Args:
    points: The points, `[T, P, 3]`.
    parts: Into how many frames each is divided, K.

  Returns:
    The points of `(T - 1) K + 1` frames. Between two frames only those are
    found that are in both, by the lower confidence.
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
  """Tells whether a person is seen for so long that time helps.

  Args:
    count: The number of frames that show the person.
    fps: The frames a second.
    model: The settings of the network that sees time.
  """
  step, _ = times_of(fps, model.frame_rate)
  return fps >= _SLOWEST and count > (_LONG - 1) * step


def run_clip(
  program: Callable[..., tuple[jax.Array, jax.Array]],
  arrays: Sequence[np.ndarray],
  fps: float,
  model: ModelConfig,
) -> tuple[np.ndarray, np.ndarray]:
  """Lifts a clip.

  Args:
    program: The compiled function of the arrays of windows, `[B, K, ...]`, and
      of their lengths, `[B]`, that returns poses and errors, `[B, K, ...]`.
    arrays: The points, `[T, P, 3]`, and what else is known of each frame,
      `[T, ...]`.
    fps: The frames a second.
    model: The settings of the network.

  Returns:
    The poses, `[T, 16, 3]`, metres, and the errors, `[T, 16]`, metres.
  """
  points, *others = arrays
  step, parts = times_of(fps, model.frame_rate)
  arrays = [between(points, parts)]
  rows = np.arange(len(arrays[0]))
  # What else is known of a frame is so of those between it and the next.
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
  if not model.causal:
    poses = blend(poses, step)
  return poses[::parts], errors[::parts]


def blend(poses: np.ndarray, step: int) -> np.ndarray:
  """Averages each pose with those of other phases around it.

  Neighbouring frames are lifted apart, so that what they err by differs. Each
  bone gets the direction of its mean vector and its mean length, by weights
  that fall linearly to 0 within `step` frames; so it stays within the bounds of
  a body. Frames before the first and behind the last one are point reflections,
  so that a steady motion stays as it is.

  Args:
    poses: The poses, `[T, 16, 3]`, metres, the root at the origin.
    step: The step from a frame of a phase to the next.

  Returns:
    The averaged poses, `[T, 16, 3]`, metres.
  """
  if step == 1 or len(poses) == 1:
    return poses
  weights = step - np.abs(np.arange(1 - step, step))

  def average(values):
    ends = [(step - 1, step - 1), *[(0, 0)] * (values.ndim - 1)]
    padded = np.pad(values, ends, 'reflect', reflect_type='odd')
    mean = convolve1d(padded, weights / weights.sum(), axis=0)
    return mean[step - 1 : 1 - step]

  bones = bone_vectors(poses, H36M)
  lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
  mean = average(bones)
  norms = np.linalg.norm(mean, axis=-1, keepdims=True)
  # Bones that point in opposite directions have no mean one.
  along = np.where(norms > 1e-6, mean, bones)
  norms = np.linalg.norm(along, axis=-1, keepdims=True)
  scales = average(lengths) / np.maximum(norms, 1e-6)
  return join_bones(along * scales, H36M).astype(poses.dtype)
