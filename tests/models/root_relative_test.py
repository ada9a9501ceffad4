import jax.numpy as jnp
import numpy as np
from by_loops import random

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.root_relative import predict

WEIGHTS = random(32, 48, seed=1)


def network(inputs):
  """Any function of all joints, the root anywhere."""
  flat = jnp.tanh(inputs.reshape(*inputs.shape[:-2], 32) @ WEIGHTS)
  return flat.reshape(*inputs.shape[:-2], 16, 3)


def test_the_root_is_at_the_origin():
  inputs = random(5, 16, 2)
  expected = network(inputs)
  ours = predict(network, inputs, H36M)
  np.testing.assert_allclose(ours, expected - expected[:, :1], atol=1e-6)


def test_flip_test_is_the_mean_with_the_mirrored_mirror():
  inputs = random(5, 16, 2)
  order = np.arange(16)
  order[list(H36M.left + H36M.right)] = H36M.right + H36M.left
  mirrored = network(inputs[:, order] * np.float32([-1, 1]))
  mirrored = mirrored[:, order] * np.float32([-1, 1, 1])
  expected = (network(inputs) + mirrored) / 2
  expected -= expected[:, :1]
  ours = predict(network, inputs, H36M, flip_test=True)
  np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
