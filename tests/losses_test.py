import functools

import numpy as np
import pytest

from semgcn_jax.losses import LOSSES
from semgcn_jax.skeleton import H36M


def test_losses_by_loops():
  rng = np.random.default_rng(0)
  predicted, target = rng.normal(size=(2, 5, 16, 3)).astype(np.float32)
  joints = sum(
    np.sum((p - t) ** 2) for p, t in zip(predicted, target, strict=True)
  )
  bones = 0
  for p, t in zip(predicted, target, strict=True):
    for parent, child in H36M.bones:
      bones += np.sum(((p[parent] - p[child]) - (t[parent] - t[child])) ** 2)
  count = 5 * 16 * 3
  for name, total in (('joints_bones', joints + bones), ('joints', joints)):
    loss = functools.partial(LOSSES[name], skeleton=H36M)
    value = loss(predicted, target, num_predicted=16)
    np.testing.assert_allclose(value, total / count, 1e-5)
    assert loss(target, target, num_predicted=16) == 0


def test_a_root_that_is_not_predicted_does_not_count():
  predicted, target = np.random.default_rng(0).normal(size=(2, 5, 16, 3))
  predicted[:, 0] = target[:, 0] = 0
  ours = LOSSES['joints'](predicted, target, skeleton=H36M, num_predicted=15)
  expected = np.mean((predicted[:, 1:] - target[:, 1:]) ** 2)
  np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_shapes_must_agree(name):
  with pytest.raises(AssertionError):
    LOSSES[name](
      np.zeros((5, 16, 3)),
      np.zeros((5, 1, 3)),
      skeleton=H36M,
      num_predicted=16,
    )
