"""Scores of features at the nodes of a graph."""

import dataclasses

import numpy as np
import pytest
from graphed import make_dataset

from semgcn_jax.evaluation import regression


def by_loops(predicted, targets):
  """The scores of all features; R2 is the mean of theirs."""
  result = of_one(predicted, targets)
  each = [of_one(predicted[..., d], targets[..., d]) for d in range(2)]
  return result | {'r2': (each[0]['r2'] + each[1]['r2']) / 2}


def of_one(predicted, targets):
  pairs = [
    (float(p), float(t))
    for p, t in zip(predicted.ravel(), targets.ravel(), strict=True)
    if not np.isnan(t)
  ]
  squares = [(p - t) ** 2 for p, t in pairs]
  mean = sum(t for _, t in pairs) / len(pairs)
  total = sum((t - mean) ** 2 for _, t in pairs)
  return {
    'mse': sum(squares) / len(pairs),
    'rmse': (sum(squares) / len(pairs)) ** 0.5,
    'mae': sum(abs(p - t) for p, t in pairs) / len(pairs),
    'r2': 1 - sum(squares) / total,
  }


def test_scores_by_loops():
  pairs = make_dataset().pairs('test')
  rng = np.random.default_rng(1)
  predicted = rng.normal(100, 50, (3, *pairs.targets.shape))
  result = regression.score_features(predicted, pairs)
  each = [by_loops(p, pairs.targets) for p in predicted]
  for name in regression.METRICS:
    values = [scores[name] for scores in each]
    assert result[name] == pytest.approx(np.mean(values))
    assert result[f'{name}_sd'] == pytest.approx(np.std(values, ddof=1))
    of_first = [of_one(p[..., 0], pairs.targets[..., 0]) for p in predicted]
    assert result['features']['sum'][name] == pytest.approx(
      np.mean([scores[name] for scores in of_first])
    )
  assert [*result['features']] == ['sum', 'shift']
  table = regression.format_table(result)
  assert 'RMSE' in table and '± of 3 seeds' in table and 'shift' in table


def test_perfect_predictions():
  pairs = make_dataset(missing=0.0).pairs('test')
  result = regression.score_features(pairs.targets[None], pairs)
  assert (result['rmse'], result['mae'], result['r2']) == (0, 0, 1)
  assert 'seeds' not in result


def test_a_feature_that_is_never_known_is_left_out():
  pairs = make_dataset().pairs('test')
  targets = pairs.targets.copy()
  targets[..., 1] = np.nan
  pairs = dataclasses.replace(pairs, targets=targets)
  result = regression.score_features(np.zeros((1, *targets.shape)), pairs)
  assert [*result['features']] == ['sum']
