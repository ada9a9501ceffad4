"""The adjacency of a skeleton: masks and normalisations, in NumPy."""

import numpy as np

from semgcn_jax.geometry.skeletons import Skeleton


def adjacency_mask(skeleton: Skeleton) -> np.ndarray:
  """Marks the bones in both directions, and every joint with itself.

  Returns:
    The mask, `[J, J]` bool, symmetric, with J + 2 * (J - 1) entries set.
  """
  mask = np.eye(skeleton.num_joints, dtype=bool)
  for parent, child in skeleton.bones:
    mask[parent, child] = mask[child, parent] = True
  return mask


def normalized_adjacency(skeleton: Skeleton) -> np.ndarray:
  """Normalises the adjacency of a skeleton, D^-1/2 A D^-1/2 (paper eq. 1).

  A is `adjacency_mask`, which has self loops, and D holds its degrees (Kipf &
  Welling, arXiv:1609.02907).

  Returns:
    The adjacency, `[J, J]` float32, symmetric.
  """
  mask = adjacency_mask(skeleton).astype(np.float64)
  scale = 1 / np.sqrt(mask.sum(axis=1))
  return (scale[:, None] * mask * scale[None, :]).astype(np.float32)


def partitions(skeleton: Skeleton) -> np.ndarray:
  """Cuts neighbourhoods into the parts of ST-GCN (arXiv:1801.07455).

  In its spatial configuration these are the joint itself, the neighbour closer
  to the root, and the neighbours farther away. The weights of a joint sum to
  one over all parts, D^-1 A, as in the code of its authors; their paper has the
  roots of the degrees on both sides instead.

  Returns:
    The adjacency of each part, `[3, J, J]` float32.
  """
  mask = adjacency_mask(skeleton)
  parts = np.zeros((3, *mask.shape), np.float32)
  parts[0] = np.eye(len(mask))
  for parent, child in skeleton.bones:
    parts[1, child, parent] = parts[2, parent, child] = 1
  return parts / mask.sum(axis=1, dtype=np.float32)[:, None]
