"""Predictions that a network should beat."""

import numpy as np
import pytest
from graphed import make_dataset

from semgcn_jax.evaluation import baselines


@pytest.fixture(scope='module')
def pairs():
  dataset = make_dataset(2000, missing=0.0)
  return dataset.pairs('train'), dataset.pairs('test')


def share_left(predicted, test):
  """The mean squared error of each feature, over its variance."""
  errors = np.square(predicted - test.targets).mean(axis=(0, 1))
  return errors / test.targets.var(axis=(0, 1))


def test_the_mean_of_each_node():
  dataset = make_dataset()
  train, test = dataset.pairs('train'), dataset.pairs('test')
  predicted = baselines.mean(train, test)
  for node in range(6):
    for feature in range(2):
      known = train.targets[:, node, feature]
      expected = known[~np.isnan(known)].mean(dtype=float)
      np.testing.assert_allclose(predicted[:, node, feature], expected)


def test_a_linear_map_of_all_nodes_finds_sums_of_neighbors(pairs):
  assert (share_left(baselines.linear(*pairs), pairs[1]) < 0.01).all()


def test_a_linear_map_of_each_node_does_not(pairs):
  of_neighbors, of_itself = share_left(
    baselines.linear_at_nodes(*pairs), pairs[1]
  )
  assert of_neighbors > 0.9 and of_itself < 1e-4


def test_a_shared_map_is_that_of_all_nodes(pairs):
  train, test = pairs
  x, y = (a.reshape(-1, 2).astype(float) for a in (train.inputs, train.targets))
  known = np.isfinite(x).all(axis=1)
  design = np.column_stack([x[known], np.ones(known.sum())])
  solved, *_ = np.linalg.lstsq(design, y[known], rcond=None)
  new = np.concatenate([test.inputs, np.ones_like(test.inputs[..., :1])], -1)
  expected, predicted = new @ solved, baselines.linear_shared(train, test)
  # Ridge regression shrinks the sums of neighbors, which it cannot know.
  size = test.targets.std(axis=(0, 1))
  off = np.nanmax(abs(predicted - expected), axis=(0, 1))
  assert (off < 0.05 * size).all()  # But for one input, which is missing.
  assert share_left(predicted, test)[1] < 1e-4


@pytest.mark.parametrize('name', baselines.BASELINES)
def test_what_is_missing_is_no_harm(name):
  dataset = make_dataset(missing=0.3)
  test = dataset.pairs('test')
  predicted = baselines.BASELINES[name](dataset.pairs('train'), test)
  assert predicted.shape == test.targets.shape
  assert np.isfinite(predicted).all()
