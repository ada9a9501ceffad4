"""What a lifter makes of keypoints."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Lifted:
  """Poses, and what is known about them.

  Attributes:
    poses: The poses, `[..., 16, 3]`, metres, the pelvis at the origin, in the
      camera frame (x right, y down, z forward); NaN where fewer than four
      keypoints were found. A network that sees time leaves NaN only before the
      first frame in which four joints were found.
    errors: The expected error of each joint, `[..., 16]`, metres; NaN where
      the network does not tell.
    num_missing: How many poses are NaN.
  """

  poses: np.ndarray
  errors: np.ndarray
  num_missing: int
