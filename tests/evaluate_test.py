import dataclasses
import functools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax import config, models, published
from semgcn_jax.cameras import h36m_cameras
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.scores import (
  calibrate_scale,
  evaluate,
  format_table,
  mean_pose_score,
  predict,
  write_json,
)
from semgcn_jax.skeleton import H36M


class Lift(nn.Module):
  """Copies x and y, and takes depth from a parameter."""

  @nn.compact
  def __call__(self, x, *, train):
    depth = self.param('depth', nn.initializers.ones, ())
    return jnp.concatenate([x, depth * x[..., :1] + 3], axis=-1)


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


VARIABLES = {'params': {'depth': jnp.float32(0.5)}}


@pytest.mark.parametrize('batch_size', [1, 7, 50, 64])
def test_every_pose_counts_once(batch_size):
  pairs = make_pairs(50)
  result = evaluate(Lift(), VARIABLES, pairs, H36M, batch_size=batch_size)
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


def test_scale_calibration():
  pose = np.random.default_rng(0).normal(size=(2, 3, 16, 3))
  scaled = np.asarray(calibrate_scale(pose, 4.3, H36M))
  for one in scaled.reshape(-1, 16, 3):
    lengths = [np.linalg.norm(one[p] - one[c]) for p, c in H36M.bones]
    np.testing.assert_allclose(sum(lengths), 4.3, rtol=1e-5)
  pairs = make_pairs(10)
  results = [
    evaluate(
      Lift(),
      {'params': {'depth': jnp.float32(0.5)}},
      dataclasses.replace(pairs, inputs=size * pairs.inputs),
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


def test_table_beside_published_numbers():
  result = evaluate(Lift(), VARIABLES, make_pairs(6), H36M, batch_size=6)
  references = {'Walk': 12.3, 'mean of actions': 45.6}
  lines = format_table(result, references).splitlines()
  assert len(lines) == 5
  assert lines[0].endswith('published')
  assert lines[2].startswith('Walk') and lines[2].endswith('12.3')
  assert lines[3].startswith('mean of actions') and lines[3].endswith('45.6')
  assert f'{result["mpjpe"]:.2f}' in lines[4]


def test_published_tables_are_consistent():
  for key, errors in published.PER_ACTION.items():
    assert len(errors) == len(published.ACTIONS) == 15
    assert round(np.mean(errors), 1) == published.PAPER[key]
  table, line = published.references(config.preset('h36m'))
  assert table['WalkTogether'] == 39.0 and '40.78' in line
  assert (
    published.references(config.preset('h36m', actions=('Eating',)))[0] == {}
  )
  assert published.references(config.preset('cmu')) == ({}, '')
  linear = config.preset('h36m_sh', model='linear')
  table, line = published.references(linear)
  assert table == {'mean of actions': 62.9} and '63.48' in line
  st_gcn = config.preset('h36m', model='st_gcn')
  assert published.references(st_gcn) == ({'mean of actions': 57.4}, '')
  wise = config.preset('h36m', conv='channel_wise')
  assert published.references(wise) == ({}, '')


def test_the_other_methods_published_rows():
  for name, (*errors, mean) in published.OTHERS.items():
    assert len(errors) == 15, name
    known = [error for error in errors if error is not None]
    missing = 15 - len(known)
    rest = 15 * mean - sum(known)
    if missing:  # What is not legible has errors like the rest.
      assert 0.7 * min(known) < rest / missing < max(known), name
    else:
      assert abs(rest) < 15 * 0.06, name


def test_json(tmp_path):
  path = tmp_path / 'result.json'
  write_json({'mpjpe': 1.5}, path)
  assert json.loads(path.read_text()) == {'mpjpe': 1.5}
  for wrong in (tmp_path / 'missing' / 'result.json', tmp_path):
    with pytest.raises(SettingError, match='--output=.*existing folder'):
      write_json({}, wrong)
  assert [p.name for p in tmp_path.iterdir()] == ['result.json']


def test_flip_test_is_the_mean_with_the_mirrored_mirror():
  settings = config.preset('cmu', hid_dim=4, num_layers=1)
  model = models.build(settings, H36M)
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
