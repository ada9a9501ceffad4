import jax
import numpy as np
import pytest

from semgcn_jax.evaluation import metrics


def poses(seed, *leading):
  return np.random.default_rng(seed).normal(size=(*leading, 16, 3))


def random_rotation(seed):
  q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
  q = q * np.sign(np.diag(r))
  return q if np.linalg.det(q) > 0 else -q


def test_mpjpe_pck_and_auc_by_loops():
  predicted, target = 0.1 * poses(0, 6), 0.1 * poses(1, 6)
  for b in range(6):
    distances = [
      sum((predicted[b, j, k] - target[b, j, k]) ** 2 for k in range(3)) ** 0.5
      for j in range(16)
    ]
    np.testing.assert_allclose(
      metrics.mpjpe(predicted, target)[b], sum(distances) / 16, rtol=1e-5
    )
    share = 100 * sum(d < 0.15 for d in distances) / 16
    np.testing.assert_allclose(metrics.pck(predicted, target)[b], share)
    thresholds = [5 * k / 1000 for k in range(31)]
    area = [sum(d < t for d in distances) / 16 for t in thresholds]
    np.testing.assert_allclose(
      metrics.auc(predicted, target)[b], 100 * sum(area) / 31, rtol=1e-5
    )


def test_p_mpjpe_ignores_similarity():
  target = poses(0, 4)
  moved = 1.7 * target @ random_rotation(3) + np.array([1.0, -2.0, 3.0])
  np.testing.assert_allclose(metrics.p_mpjpe(moved, target), 0, atol=1e-5)


def test_p_mpjpe_does_not_ignore_reflection():
  target = poses(0, 4)
  assert (metrics.p_mpjpe(target * [-1, 1, 1], target) > 0.1).all()


def test_p_mpjpe_is_the_best_over_many_transforms():
  predicted, target = poses(0), poses(1)
  best = np.sum((metrics.procrustes_align(predicted, target) - target) ** 2)
  centred = predicted - predicted.mean(0)
  middle = target - target.mean(0)
  for seed in range(200):
    rotated = centred @ random_rotation(seed)
    scale = np.sum(rotated * middle) / np.sum(rotated**2)
    assert best <= np.sum((scale * rotated - middle) ** 2) * (1 + 1e-5)


def test_n_mpjpe_is_the_best_over_scales():
  predicted, target = poses(0), poses(1)
  ours = metrics.n_mpjpe(predicted, target)
  scale = np.sum(predicted * target) / np.sum(predicted**2)
  expected = np.linalg.norm(scale * predicted - target, axis=-1).mean()
  np.testing.assert_allclose(ours, expected, rtol=1e-5)
  np.testing.assert_allclose(metrics.n_mpjpe(5 * target, target), 0, atol=1e-5)


@pytest.mark.parametrize('name', ['mpjpe', 'p_mpjpe', 'n_mpjpe', 'pck', 'auc'])
def test_leading_dimensions(name):
  function = jax.jit(getattr(metrics, name))
  predicted, target = 0.1 * poses(0, 2, 3), 0.1 * poses(1, 2, 3)
  result = function(predicted, target)
  assert result.shape == (2, 3)
  np.testing.assert_allclose(
    result[1, 2], function(predicted[1, 2], target[1, 2]), rtol=1e-5
  )


def test_a_collapsed_prediction_has_a_finite_error():
  target = poses(0, 2)
  spread = np.linalg.norm(target - target.mean(1, keepdims=True), axis=-1)
  for point in (np.zeros((2, 16, 3)), np.ones((2, 16, 3))):
    np.testing.assert_allclose(
      metrics.p_mpjpe(point, target), spread.mean(1), rtol=1e-5
    )
    assert np.isfinite(metrics.n_mpjpe(point, target)).all()


@pytest.mark.parametrize('name', ['mpjpe', 'p_mpjpe', 'n_mpjpe', 'pck', 'auc'])
def test_shapes_must_agree(name):
  with pytest.raises(AssertionError):
    getattr(metrics, name)(poses(0, 2), poses(1, 2)[:, :1])
