"""How far a run has come."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Progress:
  """How far a run has come.

  Attributes:
    epoch: The number of finished epochs.
    chunks: The number of finished chunks of the next epoch.
    loss_sum: The sum of the losses of the steps in these chunks.
    mpjpe: The test MPJPE of the last finished epoch, mm; None before.
    score: The score of that epoch, lower is better; None before.
    epoch_steps: The steps per epoch, which a cosine schedule depends on.
    seconds: The seconds that these chunks took.
  """

  epoch: int = 0
  chunks: int = 0
  loss_sum: float = 0.0
  mpjpe: float | None = None
  score: float | None = None
  epoch_steps: int = 1
  seconds: float = 0.0
