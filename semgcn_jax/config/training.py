"""The settings of the training."""

import dataclasses

from semgcn_jax.config.fields import (
  NOT_NEGATIVE,
  POSITIVE,
  SHARE,
  Group,
  Range,
  setting,
)
from semgcn_jax.errors import SettingError, listed

LOSS_MEASURES = ('joints', 'distance', 'huber')
_WITH_BONES = '_bones'


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Group):
  """The loss, the optimizer and the loop."""

  epochs: int = setting(
    30, 'Pass over the training set this many times.', POSITIVE
  )
  batch_size: int = setting(
    64, 'Take this many poses a step, over all devices.', POSITIVE
  )
  window: int = setting(
    32,
    'With --model=semgcn_temporal, train on windows of this many frames, which'
    ' must divide --batch_size.',
    Range('from 1 to 4096', lambda x: 1 <= x <= 4096),
  )
  lr: float = setting(1e-3, 'Set the highest learning rate of Adam.', POSITIVE)
  lr_batch: int = setting(
    0,
    'Take --lr as given for this batch size, and scale it to --batch_size by'
    ' the square root of their ratio; 0 does not scale it.',
    NOT_NEGATIVE,
  )
  lr_schedule: str = setting(
    'staircase',
    'Lower the learning rate by a staircase, or by a cosine to zero.',
    choices=('staircase', 'cosine'),
  )
  lr_decay: int = setting(
    100_000,
    'Go down one stair of the staircase every n-th training step.',
    POSITIVE,
  )
  lr_gamma: float = setting(
    0.96, 'Multiply the learning rate by this at each stair.', POSITIVE
  )
  warmup_epochs: float = setting(
    0.0,
    'First raise the learning rate linearly, over this many epochs, at most'
    ' half of all.',
    NOT_NEGATIVE,
  )
  weight_decay: float = setting(
    0.0, 'Decay kernels by this, as AdamW does; 0 is Adam.', NOT_NEGATIVE
  )
  max_norm: float = setting(
    1.0, 'Clip gradients to this norm; 0 does not clip.', NOT_NEGATIVE
  )
  loss: str = setting(
    'joints',
    'Train on the squared errors of the joints (joints), their distances, or'
    ' the Huber loss of those; with _bones, count the bones too (paper eq. 7).',
    choices=tuple(m + b for m in LOSS_MEASURES for b in ('', _WITH_BONES)),
  )
  stage: str = setting(
    'end_to_end',
    'With --backbone, train its 2D joints alone (keypoints), the graph network'
    ' on a backbone that stays as it is (graph), or all.',
    choices=('keypoints', 'graph', 'end_to_end'),
  )
  backbone_lr: float = setting(
    1e-3,
    'Set the highest learning rate of the backbone and of its 2D joints.',
    POSITIVE,
  )
  keypoint_loss: str = setting(
    'l1',
    'Train the 2D joints on their distance along x and y (l1), or on Gaussian'
    ' heat maps.',
    choices=('l1', 'heatmap'),
  )
  keypoint_weight: float = setting(
    1.0, 'Multiply the loss of the 2D joints by this.', NOT_NEGATIVE
  )
  averaging: float = setting(
    0.0,
    'Average the weights over the steps, with this decay per 256 poses; 0'
    ' does not average.',
    SHARE,
  )
  seed: int = setting(
    0, 'Seed the initial weights, shuffling and dropout.', NOT_NEGATIVE
  )
  num_seeds: int = setting(
    1,
    'Train this many independent runs at once, with the seeds --seed,'
    ' --seed + 1, and so on.',
    Range('from 1 to 1024', lambda x: 1 <= x <= 1024),
  )
  precision: str = setting(
    'highest',
    'Train in float32 (highest), in what the device prefers (default, tf32 on'
    ' GPUs), or in bfloat16.',
    choices=('highest', 'default', 'bfloat16'),
  )
  device_data: str = setting(
    'auto',
    'Keep the training poses resident on the devices, stream them there, or'
    ' decide by the memory (auto).',
    choices=('auto', 'resident', 'streamed'),
  )
  image_workers: int = setting(
    0,
    'Read files of pictures by this many processes; 0 reads by threads.',
    Range('from 0 to 256', lambda x: 0 <= x <= 256),
  )
  chunk_steps: int = setting(
    64, 'Run this many training steps in one compiled call.', POSITIVE
  )
  checkpoint_epochs: int = setting(
    1, 'Save every n-th epoch; the best is saved in any case.', POSITIVE
  )
  keep_checkpoints: int = setting(
    3, 'Keep this many of the last checkpoints, beside the best.', POSITIVE
  )

  @property
  def seeds(self) -> range:
    """The seed of each independent run."""
    return range(self.seed, self.seed + self.num_seeds)

  @property
  def loss_measure(self) -> str:
    """How the loss measures an error, one of `LOSS_MEASURES`."""
    return self.loss.removesuffix(_WITH_BONES)

  @property
  def bones_count(self) -> bool:
    """Whether bones count in the loss, beside joints."""
    return self.loss.endswith(_WITH_BONES)

  def index_of_seed(self, seed: int) -> int:
    """Finds the independent run of a seed.

    Returns:
      Its index, from 0.

    Raises:
      SettingError: There is no such run.
    """
    if seed not in self.seeds:
      seeds = listed(map(str, self.seeds))
      raise SettingError(
        f'there is no seed {seed}: the run has {seeds}; take one of these'
      )
    return self.seeds.index(seed)
