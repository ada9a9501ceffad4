import functools

import jax
import numpy as np

from semgcn_jax.models.build import build
from semgcn_jax.models.predict import predict
from semgcn_jax.presets import preset
from semgcn_jax.skeleton import H36M


def test_flip_test_is_the_mean_with_the_mirrored_mirror():
  settings = preset('cmu', hid_dim=4, num_layers=1)
  model = build(settings.model, H36M)
  rng = np.random.default_rng(0)
  inputs = rng.normal(size=(5, 16, 2)).astype(np.float32)
  variables = model.init(jax.random.PRNGKey(0), inputs)
  order = np.arange(16)
  order[list(H36M.left + H36M.right)] = H36M.right + H36M.left
  plain = model.apply(variables, inputs)
  mirrored = model.apply(variables, inputs[:, order] * np.float32([-1, 1]))
  mirrored = mirrored[:, order] * np.float32([-1, 1, 1])
  expected = (plain + mirrored) / 2
  expected -= expected[:, :1]
  network = functools.partial(model.apply, variables)
  ours = predict(network, inputs, H36M, flip_test=True)
  np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
