"""A ring of six nodes, whose targets are known sums over the neighbors."""

import numpy as np

from semgcn_jax.data.graphs import GraphDataset

EDGES = [(node, (node + 1) % 6) for node in range(6)]


def make_dataset(samples=120, missing=0.1):
  """Makes a dataset of C = 2 and D = 2, with some values missing."""
  rng = np.random.default_rng(0)
  inputs = rng.normal(size=(samples, 6, 2)) * [1, 30] + [5, 0]
  around = np.roll(inputs, 1, axis=1) + np.roll(inputs, -1, axis=1)
  targets = np.stack([around[..., 0] * 100, inputs[..., 1] - 7], axis=-1)
  targets[rng.uniform(size=targets.shape) < missing] = np.nan
  inputs[0, 0, 0] = np.nan
  splits = np.resize(['train', 'train', 'train', 'val', 'test'], samples)
  return GraphDataset(
    *(inputs, targets, np.array(EDGES), np.sort(splits)),
    features=np.array(['sum', 'shift']),
  )
