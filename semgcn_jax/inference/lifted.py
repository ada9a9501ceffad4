"""The result of lifting."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float


@dataclasses.dataclass(frozen=True)
class Lifted:
  """Poses with their expected errors.

  Attributes:
    poses: The poses, `[..., 16, 3]`, metres, the pelvis at the origin, in the
      camera frame (x right, y down, z forward); NaN where fewer than four
      keypoints were found. With a network that sees time, only frames before
      the first one with four joints are NaN.
    errors: The expected error of each joint, `[..., 16]`, metres; NaN if the
      network does not predict it.
    num_missing: The number of poses that are NaN.
    exchanged: The frames of clips whose sides were exchanged back, `[...]`;
      None in streams, which do not look for them.
  """

  poses: Float[np.ndarray, '*poses joints 3']
  errors: Float[np.ndarray, '*poses joints']
  num_missing: int
  exchanged: Bool[np.ndarray, '*poses'] | None = None
