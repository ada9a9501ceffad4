"""The learning rate over time, and the optimizer."""

import functools

import jax
import jax.numpy as jnp
import optax

from semgcn_jax.config import TrainingConfig
from semgcn_jax.training.packing import is_kernel


def learning_rate(
  config: TrainingConfig, epoch_steps: int = 1
) -> optax.Schedule:
  """Makes the learning rate of every step.

  The released staircase is lr * gamma^floor(t / decay) in the t-th step, t from
  1. A cosine falls to zero at the end of the last epoch (arXiv:1608.03983,
  without restarts). Either is multiplied by a linear warm-up. For Adam the rate
  grows with the root of the batch size (arXiv:2205.10287, of which the betas
  stay as they are).

  Args:
    config: of the run.
    epoch_steps: steps of an epoch.

  Returns:
    The number of steps before -> the rate.
  """
  lr = peak_rate(config)
  warmup = min(config.warmup_epochs, config.epochs / 2) * epoch_steps
  total = config.epochs * epoch_steps
  staircase = optax.exponential_decay(
    lr, config.lr_decay, config.lr_gamma, staircase=True
  )

  def schedule(count):
    if config.lr_schedule == 'cosine':
      # optax's cosine differs from this one in the last bit.
      rate = lr * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(count / total, 1)))
    else:
      rate = staircase(count + 1)
    return rate * jnp.minimum(1, (count + 1) / warmup) if warmup else rate

  return schedule


def peak_rate(config: TrainingConfig) -> float:
  """Scales the highest learning rate to the batch size."""
  if not config.lr_batch:
    return config.lr
  return config.lr * (config.batch_size / config.lr_batch) ** 0.5


def make_optimizer(
  config: TrainingConfig, epoch_steps: int = 1
) -> optax.GradientTransformation:
  """Makes Adam, or AdamW on kernels alone, after clipping of the gradient."""
  rate = learning_rate(config, epoch_steps)
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
