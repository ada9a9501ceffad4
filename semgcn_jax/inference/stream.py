"""Lifts a live stream, frame by frame, by a causal network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.inference import clips
from semgcn_jax.inference.arguments import Arguments
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.inference.mirroring import (
  is_on_the_left,
  mirror_points,
  mirror_poses,
)
from semgcn_jax.inference.steadying import Steady
from semgcn_jax.models.inputs import held, shows_enough


class Stream:
  """Lifts the frames of a stream as they come; see `Lifter.stream`.

  It caches what the network needs of earlier frames, so every frame takes the
  same time and memory.
  """

  def __init__(
    self,
    advance: Callable[..., Any],
    cache: Any,
    read: Callable[[ArrayLike], Arguments],
    joints: str,
    number: int,
    fps: float,
    times: tuple[int, int],
    *,
    check: bool,
    mirrors: bool,
  ):
    """Starts a stream.

    Args:
      advance: The compiled program of `programs.make_stream_program`.
      cache: The initial cache.
      read: Reads the keypoints of a frame, see `read_arguments`.
      joints: The key of their joint set.
      number: The index of the joint set among those of the network.
      fps: The frame rate of the stream.
      times: See `clips.times_of`.
      check: Whether to reject likely mistakes.
      mirrors: Whether to lift the mirror images of those who start on the
        left, see `mirroring`.
    """
    step, self._parts = times
    self._advance, self._read = advance, read
    self._number, self._check = number, check
    self._turned: bool | None = None if mirrors else False
    # Every n-th frame belongs to the same phase of the clip.
    self._caches = [cache] * step
    self._steady = Steady(fps) if step > 1 else None
    self._count = 0
    self._good: np.ndarray | None = None  # The points of the last good frame,
    self._shown: np.ndarray | None = None  # and those shown last.
    # Compiling here reports mistakes early, and keeps the first frame fast.
    nothing = read(np.zeros((JOINT_SETS[joints].num_joints, 3)))
    points, *others = nothing.arrays(number)
    self._run(cache, points[0], others)

  def __call__(self, keypoints: ArrayLike) -> Lifted:
    """Lifts the next frame.

    Args:
      keypoints: The keypoints, `[J, 2]` or `[J, 3]`; see `Lifter.lift`.

    Returns:
      The pose, `[16, 3]`, metres, and its errors, `[16]`, metres. They are NaN
      before the first frame that shows enough of a person.

    Raises:
      UserError: The keypoints have the wrong shape or impossible values.
    """
    given = self._read(keypoints)
    if given.leading:
      raise UserError('`keypoints`: give those of one frame, [J, 2] or [J, 3]')
    if self._check:
      given = given.checked()
    points, *others = given.arrays(self._number)
    center = others[-1]
    if shows_enough(given.h36m)[0]:
      if self._turned is None:
        self._turned = is_on_the_left(points[0], center[0])
      if self._turned:
        points = mirror_points(points, center)
      self._good = points
    elif self._good is not None:
      points = held(self._good)
    else:
      return Lifted(
        np.full((16, 3), np.nan, np.float32), np.full(16, np.nan, np.float32), 1
      )
    frames = points
    if self._shown is not None:
      both = np.concatenate([self._shown, points])
      frames = clips.between(both, self._parts)[1:]
    self._shown = points
    for frame in frames:
      phase = self._count % len(self._caches)
      self._count += 1
      self._caches[phase], poses, errors = self._run(
        self._caches[phase], frame, others
      )
    pose, error = np.array(poses)[0, 0], np.array(errors)[0, 0]
    if self._steady:
      pose = self._steady(pose)
    if self._turned:
      pose, error = mirror_poses(pose, error)
    return Lifted(pose, error, 0)

  def _run(
    self, cache: Any, points: np.ndarray, others: Sequence[np.ndarray]
  ) -> Any:
    """Runs the program on the points of a frame, `[P, 3]`."""
    arrays = (points[None], *others)
    return self._advance(cache, *(array[None] for array in arrays))
