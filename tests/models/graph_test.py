import numpy as np

from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.models.graph import (
  adjacency_mask,
  normalized_adjacency,
  partitions,
)


def test_h36m_mask_has_46_entries_and_is_symmetric():
  mask = adjacency_mask(H36M)
  assert mask.sum() == 46
  np.testing.assert_array_equal(mask, mask.T)
  assert mask.diagonal().all()


def test_normalisation_by_loops():
  chain = Skeleton(('a', 'b', 'c'), (-1, 0, 1))
  degrees = [2, 3, 2]
  expected = np.zeros((3, 3))
  for i, j in [(0, 0), (1, 1), (2, 2), (0, 1), (1, 0), (1, 2), (2, 1)]:
    expected[i, j] = 1 / np.sqrt(degrees[i] * degrees[j])
  np.testing.assert_allclose(normalized_adjacency(chain), expected, rtol=1e-6)


def test_partitions_of_a_chain():
  chain = Skeleton(('a', 'b', 'c'), (-1, 0, 1))
  expected = np.zeros((3, 3, 3))
  for joint, degree in enumerate([2, 3, 2]):
    expected[0, joint, joint] = 1 / degree
    if joint > 0:
      expected[1, joint, joint - 1] = 1 / degree
    if joint < 2:
      expected[2, joint, joint + 1] = 1 / degree
  np.testing.assert_allclose(partitions(chain), expected, rtol=1e-6)
  assert ((partitions(H36M).sum(axis=0) > 0) == adjacency_mask(H36M)).all()
