import jax
import numpy as np
import pytest

from semgcn_jax.config import TrainingConfig
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.training import losses
from semgcn_jax.training.losses import HUBER_METRES, pose_loss

LOSSES = (
  *('joints', 'joints_bones', 'distance', 'distance_bones'),
  *('huber', 'huber_bones'),
)


def loss_of(name, predicted, target, num_predicted=16):
  config = TrainingConfig(loss=name)
  return pose_loss(
    predicted,
    target,
    measure=losses.MEASURES[config.loss_measure],
    bones=config.bones_count,
    skeleton=H36M,
    num_predicted=num_predicted,
  )


@pytest.mark.parametrize('name', losses.NODE_MEASURES)
def test_features_that_are_not_known_do_not_count(name):
  rng = np.random.default_rng(0)
  predicted, target = rng.normal(size=(2, 5, 4, 3)).astype(np.float32)
  target[rng.uniform(size=target.shape) < 0.3] = np.nan
  errors = [
    abs(float(p) - float(t))
    for p, t in zip(predicted.ravel(), target.ravel(), strict=True)
    if not np.isnan(t)
  ]
  power = {'mse': 2, 'mae': 1}[name]
  expected = sum(error**power for error in errors) / len(errors)

  def loss(predicted, target):
    measure = losses.NODE_MEASURES[name]
    return losses.node_loss(predicted, target, measure=measure)

  assert loss(predicted, target) == pytest.approx(expected, rel=1e-5)
  gradient = jax.grad(loss)(predicted, target)
  assert np.isfinite(gradient).all()
  np.testing.assert_array_equal(gradient == 0, np.isnan(target))
  assert loss(predicted, np.full_like(target, np.nan)) == 0


def huber(vector):
  length = np.linalg.norm(vector)
  if length < HUBER_METRES:
    return length**2 / HUBER_METRES / 2
  return length - HUBER_METRES / 2


MEASURES = {
  'joints': lambda vector: np.sum(vector**2) / 3,
  'distance': np.linalg.norm,
  'huber': huber,
}


@pytest.mark.parametrize('name', LOSSES)
def test_losses_by_loops(name):
  rng = np.random.default_rng(0)
  predicted, target = rng.normal(0, 0.05, (2, 5, 16, 3)).astype(np.float32)
  measure = MEASURES[name.partition('_')[0]]
  total = 0
  for p, t in zip(predicted, target, strict=True):
    for joint in range(16):
      total += measure(p[joint] - t[joint])
    for parent, child in H36M.bones if name.endswith('_bones') else ():
      total += measure((p[parent] - p[child]) - (t[parent] - t[child]))
  value = loss_of(name, predicted, target)
  np.testing.assert_allclose(value, total / (5 * 16), 1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_losses_are_zero_and_flat_at_the_target(name):
  target = np.random.default_rng(0).normal(size=(5, 16, 3)).astype(np.float32)
  value, grad = jax.value_and_grad(lambda p: loss_of(name, p, target))(target)
  assert value == 0 and (np.asarray(grad) == 0).all()


def test_a_root_that_is_not_predicted_does_not_count():
  predicted, target = np.random.default_rng(0).normal(size=(2, 5, 16, 3))
  predicted[:, 0] = target[:, 0] = 0
  for name, measure in (('joints', np.square), ('distance', None)):
    error = predicted[:, 1:] - target[:, 1:]
    expected = np.mean(
      measure(error) if measure else np.linalg.norm(error, axis=-1)
    )
    ours = loss_of(name, predicted, target, num_predicted=15)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_shapes_must_agree(name):
  with pytest.raises(AssertionError):
    loss_of(name, np.zeros((5, 16, 3)), np.zeros((5, 1, 3)))


@pytest.mark.parametrize('name', ['distance', 'joints'])
def test_the_expected_error_is_fitted_and_leaves_the_poses_alone(name):
  rng = np.random.default_rng(0)
  poses, target = rng.normal(0, 0.05, (2, 5, 16, 3)).astype(np.float32)
  raw = rng.normal(0, 1, (5, 16, 1)).astype(np.float32)
  predicted = np.concatenate([poses, raw], axis=-1)
  missed = []
  for pose, true, row in zip(poses, target, raw[..., 0], strict=True):
    for joint in range(16):
      actual = np.linalg.norm((pose[joint] - pose[0]) - (true[joint] - true[0]))
      expected = np.log1p(np.exp(row[joint])) / 10
      missed.append((expected - actual) ** 2)
  plain = loss_of(name, poses, target)
  np.testing.assert_allclose(
    loss_of(name, predicted, target), plain + np.mean(missed), rtol=1e-5
  )
  slopes = jax.grad(lambda p: loss_of(name, p, target))
  np.testing.assert_allclose(
    slopes(predicted)[..., :3], slopes(poses), rtol=1e-5, atol=1e-9
  )
