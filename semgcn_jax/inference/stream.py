"""Lifts a live stream, frame by frame, by a causal network."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.inference import clips
from semgcn_jax.inference.arguments import Arguments, check_pixels, place_points
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.models.inputs import held


class Stream:
  """Lifts the frames of a stream as they come; see `Lifter.stream`.

  It keeps what the network needs of earlier frames, so that every frame takes
  the same time and memory.
  """

  def __init__(
    self,
    advance: Callable[..., Any],
    cache: Any,
    read: Callable[[ArrayLike], Arguments],
    joints: str,
    number: int,
    times: tuple[int, int],
    check: bool,
  ):
    """Starts a stream.

    Args:
      advance: The compiled function of a cache and the arrays of a frame, see
        `programs.make_stream_program`.
      cache: The cache of a network that has seen nothing.
      read: Reads the keypoints of a frame, see `read_arguments`.
      joints: The key of their joint set.
      number: The number of that among the joint sets of the network.
      times: See `clips.times_of`.
      check: Whether to refuse what is probably a mistake.
    """
    step, self._parts = times
    self._advance, self._read = advance, read
    self._joints, self._number, self._check = joints, number, check
    # Every n-th frame belongs to the same part of the clip.
    self._caches = [cache] * step
    self._count = 0
    self._good: np.ndarray | None = None  # The points of the last good frame,
    self._shown: np.ndarray | None = None  # and those that were shown last.
    # What is wrong shows before the first frame, which need not wait for the
    # compiler either.
    nothing = read(np.zeros((JOINT_SETS[joints].num_joints, 3)))
    self._run(cache, place_points(nothing.keypoints, joints)[0], nothing)

  def __call__(self, keypoints: ArrayLike) -> Lifted:
    """Lifts the next frame.

    Args:
      keypoints: The keypoints, `[J, 2]` or `[J, 3]`; see `Lifter.lift`.

    Returns:
      The pose, `[16, 3]`, metres, and its errors, `[16]`, metres. They are NaN
      up to the first frame that shows enough of a person.

    Raises:
      UserError: The keypoints cannot be what is asked for.
    """
    given = self._read(keypoints)
    if given.leading:
      raise UserError('`keypoints`: give those of one frame, [J, 2] or [J, 3]')
    if self._check:
      check_pixels(given.keypoints, given.image_size, self._joints)
    if clips.enough(given.keypoints, self._joints)[0]:
      points = self._good = place_points(given.keypoints, self._joints)
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
    poses, errors = [self._lift(frame, given) for frame in frames][-1]
    return Lifted(poses, errors, 0)

  def _lift(
    self, points: np.ndarray, given: Arguments
  ) -> tuple[np.ndarray, np.ndarray]:
    """Lifts the points of a frame, `[P, 3]`, and keeps what is needed of it."""
    phase = self._count % len(self._caches)
    self._count += 1
    self._caches[phase], poses, errors = self._run(
      self._caches[phase], points, given
    )
    return np.array(poses)[0, 0], np.array(errors)[0, 0]

  def _run(self, cache: Any, points: np.ndarray, given: Arguments) -> Any:
    """Calls the function on the points of a frame, `[P, 3]`."""
    return self._advance(
      cache,
      points[None, None],
      np.full((1, 1), self._number, np.int32),
      *(x[None] for x in (given.image_size, given.focal, given.center)),
    )
