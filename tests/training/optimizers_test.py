import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random
from flax.traverse_util import flatten_dict
from tiny import BEST, TINY

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import abstract_variables
from semgcn_jax.tasks import make_task
from semgcn_jax.training import optimizers


def test_the_cosine_by_hand():
  rate = optimizers.learning_rate(
    BEST.replace(
      lr=0.1, lr_batch=10, batch_size=40, epochs=4, warmup_epochs=0.5
    ).training,
    epoch_steps=10,
  )
  for count in range(40):
    expected = 0.2 * 0.5 * (1 + np.cos(np.pi * count / 40))
    expected *= min(1, (count + 1) / 5)
    np.testing.assert_allclose(rate(count), expected, rtol=1e-5, atol=1e-8)
  assert rate(40) < 1e-8
  # At most half of the run is warm-up.
  short = BEST.replace(epochs=2, warmup_epochs=50.0, lr_batch=0)
  rates = [
    optimizers.learning_rate(short.training, 10)(count) for count in range(20)
  ]
  expected = [(c + 1) / 10 * (1 + np.cos(np.pi * c / 20)) for c in range(10)]
  np.testing.assert_allclose(rates[:10], 0.5e-3 * np.array(expected), rtol=1e-5)
  # Warm-up of the staircase.
  rate = optimizers.learning_rate(TINY.replace(warmup_epochs=1.0).training, 4)
  rates = [float(rate(count)) for count in range(6)]
  np.testing.assert_allclose(rates, np.minimum(1, np.arange(1, 7) / 4) * 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('conv', ['semantic', 'channel_wise'])
def test_weight_decay_is_of_kernels_alone(conv):
  settings = BEST.replace(conv=conv)
  shapes = abstract_variables(settings.model, H36M)['params']
  params = jax.tree.map(lambda x: random(*x.shape), shapes)
  tx = optimizers.make_optimizer(make_task(settings, H36M), 20)
  zeros = jax.tree.map(jnp.zeros_like, params)
  updates, _ = tx.update(zeros, tx.init(params), params)
  # The first of 20 steps of warm-up; no gradient, so nothing but the decay.
  rate = 1e-3 * (40 / 256) ** 0.5 / 20
  params = flatten_dict(params)
  assert {path[-1] for path in params} == {
    *('kernel', 'bias', 'scale', 'edge_logits', 'affinity')
  }
  for path, update in flatten_dict(updates).items():
    share = -rate * 0.1 if path[-1] == 'kernel' else 0
    expected = share * params[path]
    np.testing.assert_allclose(update, expected, rtol=1e-4, atol=1e-12)


def test_learning_rate_is_a_staircase():
  rate = optimizers.learning_rate(
    TINY.replace(lr=0.1, lr_decay=3, lr_gamma=0.5).training
  )
  rates = [float(rate(count)) for count in range(7)]
  np.testing.assert_allclose(rates, [0.1, 0.1, *[0.05] * 3, *[0.025] * 2])
