"""The learning rate over time, and the optimizer."""

import functools

import jax
import jax.numpy as jnp
import optax

from semgcn_jax.config import TrainingConfig
from semgcn_jax.tasks import Frames
from semgcn_jax.training.packing import is_kernel


def learning_rate(
  config: TrainingConfig, epoch_steps: int = 1, peak: float | None = None
) -> optax.Schedule:
  """Makes the schedule of the learning rate.

  The staircase of the released code is lr * gamma^floor(t / decay) in step t,
  counted from 1. The cosine falls to zero at the end of the last epoch
  (arXiv:1608.03983, without restarts). Both are multiplied by a linear warm-up.

  Args:
    epoch_steps: The number of steps per epoch.
    peak: The highest rate; None takes that of `peak_rate`.

  Returns:
    A function from the number of steps done to the learning rate.
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
  (arXiv:2205.10287, but with fixed betas).
  """
  if not config.lr_batch:
    return config.lr
  return config.lr * (config.batch_size / config.lr_batch) ** 0.5


def peak_rates(task: Frames) -> dict[str, float]:
  """Returns the highest learning rate of each part that learns."""
  training = task.config.training
  rates = {
    'backbone': training.backbone_lr,
    'graph network': peak_rate(training),
  }
  return {part: rates[part] for part in task.learns}


def make_optimizer(
  task: Frames, epoch_steps: int = 1
) -> optax.GradientTransformation:
  """Makes the optimizer: clipping, then Adam, or AdamW with weight decay.

  Only kernels decay. The parts that find 2D joints in images have a learning
  rate of their own, and parts that do not learn are frozen.
  """
  config, rates = task.config.training, peak_rates(task)

  def adam(part):
    if part not in rates:
      return optax.set_to_zero()
    return _adam(config, learning_rate(config, epoch_steps, rates[part]))

  if not task.finding:
    return adam('graph network')
  return optax.multi_transform(
    {'finding': adam('backbone'), 'graph': adam('graph network')},
    lambda params: {
      name: 'finding' if name in task.finding else 'graph' for name in params
    },
  )


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
