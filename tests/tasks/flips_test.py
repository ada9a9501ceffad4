import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.tasks.flips import random_flip

KEY = jax.random.PRNGKey(0)


def mirrored(poses):
  """Joint by joint: the other side's, with another sign of x."""
  result = np.array(poses)
  for left, right in zip(H36M.left, H36M.right, strict=True):
    result[..., [left, right], :] = result[..., [right, left], :]
  result[..., 0] = -result[..., 0]
  return result


@pytest.mark.parametrize('shape', [(200,), (200, 3)])
def test_about_half_is_mirrored_together(shape):
  rng = np.random.default_rng(0)
  batch = {
    'inputs': rng.normal(size=(*shape, 16, 2)),
    'targets': rng.normal(size=(*shape, 16, 3)),
    'roots': rng.normal(size=(*shape, 3)),
    'images': rng.integers(0, 256, (200, 8, 8, 3)),
    'cameras': rng.integers(0, 4, shape),
  }
  batch = {name: jnp.asarray(array) for name, array in batch.items()}
  flipped = random_flip(KEY, batch, H36M)
  assert list(flipped) == list(batch)
  np.testing.assert_array_equal(flipped['cameras'], batch['cameras'])
  whole = tuple(range(1, len(shape) + 2))
  chosen = np.any(flipped['inputs'] != batch['inputs'], axis=whole)
  assert 60 < chosen.sum() < 140
  expected = {
    'inputs': mirrored(batch['inputs']),
    'targets': mirrored(batch['targets']),
    'roots': batch['roots'] * np.array((-1, 1, 1)),
    'images': batch['images'][:, :, ::-1],
  }
  for name, other in expected.items():
    which = chosen.reshape(-1, *(1,) * (other.ndim - 1))
    np.testing.assert_array_equal(
      flipped[name], np.where(which, other, batch[name])
    )


def test_a_batch_may_have_targets_alone():
  poses = jnp.asarray(np.random.default_rng(0).normal(size=(20, 16, 3)))
  flipped = random_flip(KEY, {'targets': poses}, H36M)
  assert list(flipped) == ['targets']
