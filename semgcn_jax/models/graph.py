"""The adjacency of a graph: masks and normalizations, in NumPy."""

import numpy as np

from semgcn_jax.geometry.graphs import Nodes
from semgcn_jax.geometry.skeletons import Skeleton


def adjacency_mask(graph: Nodes) -> np.ndarray:
  """Returns the adjacency with self loops, `[J, J]` bool, symmetric."""
  mask = np.eye(graph.num_nodes, dtype=bool)
  for first, second in graph.edges:
    mask[first, second] = mask[second, first] = True
  return mask


def normalized_adjacency(graph: Nodes) -> np.ndarray:
  """Normalises the adjacency A of a graph, D^-1/2 A D^-1/2 (paper eq. 1).

  D holds the degrees of `adjacency_mask` (Kipf & Welling, arXiv:1609.02907).

  Returns:
    The adjacency, `[J, J]` float32, symmetric.
  """
  mask = adjacency_mask(graph).astype(np.float64)
  scale = 1 / np.sqrt(mask.sum(axis=1))
  return (scale[:, None] * mask * scale[None, :]).astype(np.float32)


def partitions(skeleton: Skeleton) -> np.ndarray:
  """Splits neighborhoods into the parts of ST-GCN (arXiv:1801.07455).

  In its spatial configuration these are the joint itself, the neighbor closer
  to the root, and the neighbors farther away. The weights of a joint sum to
  one over all parts, D^-1 A, as in its authors' code; their paper has D^-1/2 on
  both sides instead.

  Returns:
    The adjacency of each part, `[3, J, J]` float32.
  """
  mask = adjacency_mask(skeleton)
  parts = np.zeros((3, *mask.shape), np.float32)
  parts[0] = np.eye(len(mask))
  for parent, child in skeleton.bones:
    parts[1, child, parent] = parts[2, parent, child] = 1
  return parts / mask.sum(axis=1, dtype=np.float32)[:, None]
