"""The learning rate over time, and the optimizer."""

import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from semgcn_jax.config import TrainingConfig
from semgcn_jax.models.image_network import FINDING
from semgcn_jax.training.packing import is_kernel


def learning_rate(
  config: TrainingConfig, epoch_steps: int = 1, peak: float | None = None
) -> optax.Schedule:
  """Makes the schedule of the learning rate.

  The staircase, which is that of the released code, is lr * gamma^floor(t /
  decay) in the t-th step, with t from 1. The cosine falls to zero at the end of
  the last epoch (arXiv:1608.03983, without restarts). Either is multiplied by a
  linear warm-up.

  Args:
    config: The training settings of the run.
    epoch_steps: The number of steps of an epoch.
    peak: The highest rate; None takes that of `peak_rate`.

  Returns:
    A function from the number of steps done before to the learning rate.
  """
  lr = peak_rate(config) if peak is None else peak
  warmup = min(config.warmup_epochs, config.epochs / 2) * epoch_steps
  total = config.epochs * epoch_steps

  # optax's own schedules differ from these in the last bit.
  def schedule(count):
    if config.lr_schedule == 'cosine':
      rate = lr * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(count / total, 1)))
    else:
      rate = lr * config.lr_gamma ** ((count + 1) // config.lr_decay)
    return rate * jnp.minimum(1, (count + 1) / warmup) if warmup else rate

  return schedule


def peak_rate(config: TrainingConfig) -> float:
  """Scales the highest learning rate to the batch size, if `lr_batch` is set.

  For Adam the rate grows with the square root of the batch size
  (arXiv:2205.10287, except that the betas stay as they are).
  """
  if not config.lr_batch:
    return config.lr
  return config.lr * (config.batch_size / config.lr_batch) ** 0.5


def make_optimizer(
  config: TrainingConfig, epoch_steps: int = 1, *, backbone: str = ''
) -> optax.GradientTransformation:
  """Makes the optimizer: Adam, or with weight decay AdamW, after clipping.

  Only kernels decay. What finds the 2D joints in pictures has a learning rate
  of its own, and parts that the stage does not train stay as they are.

  Args:
    config: The training settings of the run.
    epoch_steps: The number of steps of an epoch.
    backbone: The setting `backbone`.
  """
  tx = _adam(config, learning_rate(config, epoch_steps))
  if backbone:
    own = learning_rate(config, epoch_steps, config.backbone_lr)
    trained: dict[Hashable, Any] = {'finding': _adam(config, own), 'graph': tx}
    if config.stage != 'end_to_end':
      other = 'graph' if config.stage == 'keypoints' else 'finding'
      trained[other] = optax.set_to_zero()
    tx = optax.multi_transform(
      trained,
      lambda params: {
        name: 'finding' if name in FINDING else 'graph' for name in params
      },
    )
  return tx


def _adam(
  config: TrainingConfig, rate: optax.Schedule
) -> optax.GradientTransformation:
  tx = optax.adam(rate)
  if config.weight_decay:
    tx = optax.adamw(
      rate,
      weight_decay=config.weight_decay,
      mask=functools.partial(
        jax.tree_util.tree_map_with_path, lambda path, _: is_kernel(path)
      ),
    )
  if config.max_norm:
    tx = optax.chain(optax.clip_by_global_norm(config.max_norm), tx)
  return tx
