"""The settings of training."""

import dataclasses

from semgcn_jax.config.fields import (
  NOT_NEGATIVE,
  POSITIVE,
  SHARE,
  Group,
  between,
  setting,
  up_to,
)
from semgcn_jax.errors import SettingError, listed

LOSS_MEASURES = ('joints', 'distance', 'huber')
NODE_LOSSES = ('mse', 'mae')  # Those of `task=regression`.
_WITH_BONES = '_bones'


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Group):
  """The loss, the optimizer and the loop."""

  epochs: int = setting(
    30,
    'Train for this many epochs, and score the network after each.',
    POSITIVE,
  )
  passes: int = setting(
    1, 'Go over the training set this many times per epoch.', POSITIVE
  )
  balance: float = setting(
    0.0,
    'Draw poses so that each counts the same (0), or each subject (1), or in'
    ' between; above 0 they are drawn with replacement.',
    up_to(1),
  )
  batch_size: int = setting(
    64, 'Take this many poses per step, over all devices.', POSITIVE
  )
  window: int = setting(
    32,
    'With --model=semgcn_temporal, train on windows of this many frames, a'
    ' divisor of --batch_size.',
    between(1, 4096),
  )
  lr: float = setting(1e-3, 'Set the peak learning rate of Adam.', POSITIVE)
  lr_batch: int = setting(
    0,
    'Scale --lr by the square root of --batch_size over this; 0 does not.',
    NOT_NEGATIVE,
  )
  lr_schedule: str = setting(
    'staircase',
    'Decay the learning rate by a staircase, or by a cosine to zero.',
    choices=('staircase', 'cosine'),
  )
  lr_decay: int = setting(
    100_000, 'Step down the staircase every n-th training step.', POSITIVE
  )
  lr_gamma: float = setting(
    0.96, 'Multiply the learning rate by this at each stair.', POSITIVE
  )
  warmup_epochs: float = setting(
    0.0,
    'Warm up the learning rate linearly over this many epochs, at most half of'
    ' all.',
    NOT_NEGATIVE,
  )
  weight_decay: float = setting(
    0.0, 'Decay kernels by this (AdamW); 0 is plain Adam.', NOT_NEGATIVE
  )
  max_norm: float = setting(
    1.0, 'Clip gradients to this norm; 0 does not clip.', NOT_NEGATIVE
  )
  loss: str = setting(
    'joints',
    'Minimize the squared errors of joints (joints), their distances, or the'
    ' Huber loss of those; with _bones, also those of bones (paper eq. 7).'
    ' With --task=regression, minimize the squared (mse) or absolute (mae)'
    ' errors of standardized targets.',
    choices=(
      *(m + b for m in LOSS_MEASURES for b in ('', _WITH_BONES)),
      *NODE_LOSSES,
    ),
  )
  stage: str = setting(
    'end_to_end',
    'With --backbone, train only the 2D joints (keypoints), only the graph'
    ' network on a frozen backbone (graph), or both (end_to_end).',
    choices=('keypoints', 'graph', 'end_to_end'),
  )
  backbone_lr: float = setting(
    1e-3, 'Set the peak learning rate of backbone and 2D head.', POSITIVE
  )
  keypoint_loss: str = setting(
    'l1',
    'Train the 2D joints on their L1 distance (l1), or on Gaussian heat maps.',
    choices=('l1', 'heatmap'),
  )
  keypoint_weight: float = setting(
    1.0, 'Weight the loss of the 2D joints by this.', NOT_NEGATIVE
  )
  averaging: float = setting(
    0.0,
    'Average the weights over steps with this decay per 256 poses; 0 does not.',
    SHARE,
  )
  seed: int = setting(
    0, 'Seed the initial weights, shuffling and dropout.', NOT_NEGATIVE
  )
  num_seeds: int = setting(
    1,
    'Train this many independent runs at once, with seeds from --seed on.',
    between(1, 1024),
  )
  precision: str = setting(
    'highest',
    "Train in float32 (highest), in the device's preferred precision (default;"
    ' tf32 on GPUs), or in bfloat16.',
    choices=('highest', 'default', 'bfloat16'),
  )
  device_data: str = setting(
    'auto',
    'Keep the training data resident on the devices, stream it there, or'
    ' choose by the memory (auto).',
    choices=('auto', 'resident', 'streamed'),
  )
  image_workers: int = setting(
    0, 'Read image files in this many processes; 0 uses threads.', up_to(256)
  )
  chunk_steps: int = setting(
    64, 'Run this many training steps in one compiled call.', POSITIVE
  )
  checkpoint_epochs: int = setting(
    1, 'Save every n-th epoch; the best is always saved.', POSITIVE
  )
  keep_checkpoints: int = setting(
    3, 'Keep this many of the last checkpoints, and the best.', POSITIVE
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
    """Whether the loss covers bones, too."""
    return self.loss.endswith(_WITH_BONES)

  def index_of_seed(self, seed: int) -> int:
    """Returns the index of the run with this seed, from 0.

    Raises:
      SettingError: There is no such seed.
    """
    if seed not in self.seeds:
      raise SettingError(
        f'there is no seed {seed}: the run has {listed(map(str, self.seeds))};'
        ' take one of these'
      )
    return self.seeds.index(seed)
