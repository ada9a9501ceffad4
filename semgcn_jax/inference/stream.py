"""Lifts a live stream, frame by frame, by a causal network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.errors import UserError
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
from semgcn_jax.simulation.points import points_of


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
    empty: np.ndarray,
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
      empty: The keypoints of a frame that shows nobody, `[J, 3]`, zeros.
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
    self._count = 0
    self._good: np.ndarray | None = None  # The points of the last good frame,
    self._shown: np.ndarray | None = None  # and those shown last.
    # Compiling here reports mistakes early, and keeps the first frame fast.
    nothing = read(empty)
    self._skeleton = nothing.skeleton
    self._steady = Steady(fps, self._skeleton) if step > 1 else None
    points, *others = nothing.arrays(number)
    self._run(cache, points[0], others)

  def __call__(self, keypoints: ArrayLike) -> Lifted:
    """Lifts the next frame.

    Args:
      keypoints: The keypoints, `[J, 2]` or `[J, 3]`; see `Lifter.lift`.

    Returns:
      The pose, `[J, 3]`, metres, and its errors, `[J]`, metres. They are NaN
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
    center, of = others[-1], points_of(self._skeleton)
    if shows_enough(given.joints)[0]:
      if self._turned is None:
        self._turned = is_on_the_left(points[0], center[0], of)
      if self._turned:
        points = mirror_points(points, center, of)
      self._good = points
    elif self._good is not None:
      points = held(self._good)
    else:
      pose = np.full((self._skeleton.num_joints, 3), np.nan, np.float32)
      return Lifted(pose, pose[:, 0], 1, skeleton=self._skeleton)
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
      pose, error = mirror_poses(pose, error, self._skeleton)
    return Lifted(pose, error, 0, skeleton=self._skeleton)

  def _run(
    self, cache: Any, points: np.ndarray, others: Sequence[np.ndarray]
  ) -> Any:
    """Runs the program on the points of a frame, `[P, 3]`."""
    arrays = (points[None], *others)
    return self._advance(cache, *(array[None] for array in arrays))
