"""The learning rate over time, and the optimizer."""

import jax
import jax.numpy as jnp
import optax

from semgcn_jax.config import Config


def learning_rate(config: Config, epoch_steps: int = 1) -> optax.Schedule:
  """The rate of the t-th step, t from 1.

  The released staircase is lr * gamma^floor(t / decay). A cosine falls to zero
  at the end of the last epoch (arXiv:1608.03983, without restarts). For Adam
  the rate grows with the root of the batch size (arXiv:2205.10287).

  Args:
    config: of the run.
    epoch_steps: steps of an epoch.
  """
  lr = config.lr
  if config.lr_batch:
    lr *= (config.batch_size / config.lr_batch) ** 0.5
  warmup = config.warmup_epochs * epoch_steps
  total = config.epochs * epoch_steps

  def schedule(count):
    if config.lr_schedule == 'cosine':
      rate = lr * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(count / total, 1)))
    else:
      rate = lr * config.lr_gamma ** ((count + 1) // config.lr_decay)
    return rate * jnp.minimum(1, (count + 1) / warmup) if warmup else rate

  return schedule


def make_optimizer(
  config: Config, epoch_steps: int = 1
) -> optax.GradientTransformation:
  """Adam, or AdamW on kernels alone, behind the clipping of the gradient."""
  rate = learning_rate(config, epoch_steps)
  tx = optax.adam(rate)
  if config.weight_decay:
    tx = optax.adamw(
      rate,
      weight_decay=config.weight_decay,
      mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
    )
  if config.max_norm:
    tx = optax.chain(optax.clip_by_global_norm(config.max_norm), tx)
  return tx
