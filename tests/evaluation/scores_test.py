import dataclasses

import jax
import numpy as np
import pytest
from tiny import TINY

from semgcn_jax.data.pairs import Pairs
from semgcn_jax.evaluation.scores import (
  calibrate_scale,
  mean_pose_score,
  pck_threshold,
  score_predictions,
)
from semgcn_jax.geometry.cameras import h36m_cameras
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.models.build import build
from semgcn_jax.tasks import make_task


def lift(pairs, depth=0.5):
  """Copies x and y, and takes depth from x; the root is moved to the origin."""
  x = pairs.inputs
  poses = np.concatenate([x, depth * x[..., :1]], axis=-1)
  return (poses - poses[:, :1])[None]


def make_pairs(count, seed=0):
  rng = np.random.default_rng(seed)
  targets = rng.normal(0, 0.3, (count, 16, 3)).astype(np.float32)
  return Pairs(
    inputs=rng.normal(0, 0.3, (count, 16, 2)).astype(np.float32),
    targets=targets - targets[:, :1],
    roots=targets[:, 0],
    cameras=np.zeros(count, np.int32),
    actions=(np.arange(count) % 3 // 2).astype(np.int32),  # 2 to 1.
    action_names=('Run', 'Walk'),
    camera_list=h36m_cameras()['S1'][:1],
  )


@pytest.mark.parametrize('batch_size', [1, 7, 50, 64])
def test_every_pose_counts_once(batch_size):
  pairs = make_pairs(50)
  result = score_predictions(lift(pairs), pairs, H36M, batch_size=batch_size)
  errors = []
  for x, target in zip(pairs.inputs, pairs.targets, strict=True):
    predicted = np.concatenate([x, 0.5 * x[:, :1] + 3], axis=-1)
    predicted = predicted - predicted[0]
    errors.append(1000 * np.linalg.norm(predicted - target, axis=-1).mean())
  errors = np.array(errors)
  np.testing.assert_allclose(result['mpjpe'], errors.mean(), rtol=1e-5)
  run, walk = errors[pairs.actions == 0], errors[pairs.actions == 1]
  assert result['num_poses'] == 50
  assert result['actions']['Run']['num_poses'] == len(run) == 34
  np.testing.assert_allclose(
    result['actions']['Walk']['mpjpe'], walk.mean(), rtol=1e-5
  )
  np.testing.assert_allclose(
    result['mpjpe_action'], (run.mean() + walk.mean()) / 2, rtol=1e-5
  )
  assert result['p_mpjpe'] < result['n_mpjpe'] <= result['mpjpe']
  assert set(result) == {
    *('mpjpe', 'p_mpjpe', 'n_mpjpe', 'pck_150', 'auc'),
    *('mpjpe_action', 'p_mpjpe_action', 'num_poses', 'actions'),
  }


def test_a_network_of_keypoints_does_not_look_at_pictures():
  pairs, task = make_pairs(10), make_task(TINY, H36M)
  variables = jax.jit(build(TINY.model, H36M).init)(
    jax.random.PRNGKey(0), pairs.inputs[:1]
  )
  pictures = np.zeros((10, 32, 32, 3), np.uint8)
  first, second = (
    task.make_predict()(variables, some, 4)
    for some in (pairs, dataclasses.replace(pairs, images=pictures))
  )
  assert first.shape == (1, 10, 16, 3)
  np.testing.assert_array_equal(first, second)
  assert task.joints(first) is None


def test_scale_calibration():
  pose = np.random.default_rng(0).normal(size=(2, 3, 16, 3))
  scaled = np.asarray(calibrate_scale(pose, 4.3, H36M))
  for one in scaled.reshape(-1, 16, 3):
    lengths = [np.linalg.norm(one[p] - one[c]) for p, c in H36M.bones]
    np.testing.assert_allclose(sum(lengths), 4.3, rtol=1e-5)
  pairs = make_pairs(10)
  results = [
    score_predictions(
      lift(dataclasses.replace(pairs, inputs=size * pairs.inputs)),
      pairs,
      H36M,
      batch_size=4,
      canonical_length=4.3,
    )['mpjpe']
    for size in (1, 2)
  ]
  np.testing.assert_allclose(*results, rtol=1e-4)


def test_mean_pose_score_by_loops():
  train, test = make_pairs(20), make_pairs(5, seed=1)
  mean = sum(train.targets.astype(np.float64)) / 20
  errors = [
    np.linalg.norm(pose[j] - mean[j])
    for pose in test.targets
    for j in range(16)
  ]
  np.testing.assert_allclose(
    mean_pose_score(train, test), 1000 * np.mean(errors), rtol=1e-6
  )


def test_thresholds_of_other_skeletons_are_shares_of_their_size():
  rng = np.random.default_rng(0)
  targets = 0.1 * rng.normal(size=(50, 16, 3)).astype(np.float32)
  targets -= targets[:, :1]
  chain = Skeleton(H36M.joints, (-1, *range(15)))
  reach = [max(np.linalg.norm(p, axis=-1)) for p in targets]
  threshold = sum(reach) / len(reach) / 6
  assert pck_threshold(targets, chain) == pytest.approx(threshold, rel=1e-5)
  assert pck_threshold(targets, H36M) == 0.15
  pairs = dataclasses.replace(make_pairs(50), targets=targets)
  # Half of the joints are just within the limit, the others just beyond.
  off = np.where(np.arange(16) % 2, 0.99, 1.01) * threshold
  poses = targets + off[:, None] * np.float32([1, 0, 0])
  result = score_predictions(poses[None], pairs, chain, batch_size=16)
  assert result['pck'] == pytest.approx(50) and 'pck_150' not in result
  assert result['pck_threshold'] == pytest.approx(1000 * threshold, rel=1e-5)
  of_people = score_predictions(poses[None], pairs, H36M, batch_size=16)
  assert of_people['pck_150'] == 100 and 'pck' not in of_people
