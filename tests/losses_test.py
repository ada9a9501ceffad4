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
  for name, total in (('joints', joints), ('joints_bones', joints + bones)):
    loss = LOSSES[name](H36M)
    np.testing.assert_allclose(loss(predicted, target), total / count, 1e-5)
    assert loss(target, target) == 0


@pytest.mark.parametrize('name', LOSSES)
def test_shapes_must_agree(name):
  with pytest.raises(AssertionError):
    LOSSES[name](H36M)(np.zeros((5, 16, 3)), np.zeros((5, 1, 3)))
