"""Adjacency of a skeleton: masks and normalisations, in NumPy."""

import numpy as np

from semgcn_jax.skeleton import Skeleton


def adjacency_mask(skeleton: Skeleton) -> np.ndarray:
  """Bones in both directions, and every joint with itself.

  Returns:
    `[J, J]` bool, symmetric, with J + 2 * (J - 1) entries set.
  """
  mask = np.eye(skeleton.num_joints, dtype=bool)
  for parent, child in skeleton.bones:
    mask[parent, child] = mask[child, parent] = True
  return mask


def normalized_adjacency(skeleton: Skeleton) -> np.ndarray:
  """D^-1/2 A D^-1/2 of the mask with self loops (paper eq. 1; Kipf & Welling,
  arXiv:1609.02907).

  Returns:
    `[J, J]` float32, symmetric.
  """
  mask = adjacency_mask(skeleton).astype(np.float64)
  scale = 1 / np.sqrt(mask.sum(axis=1))
  return (scale[:, None] * mask * scale[None, :]).astype(np.float32)


def partitions(skeleton: Skeleton) -> np.ndarray:
  """ST-GCN's spatial configuration of the neighbourhood: the joint itself, the
  neighbour closer to the root, those farther away (arXiv:1801.07455).

  The weights of a joint sum to one over all parts, D^-1 A, as in its authors'
  code; the paper has the roots of the degrees on both sides.

  Returns:
    `[3, J, J]` float32.
  """
  mask = adjacency_mask(skeleton)
  parts = np.zeros((3, *mask.shape), np.float32)
  parts[0] = np.eye(len(mask))
  for parent, child in skeleton.bones:
    parts[1, child, parent] = parts[2, parent, child] = 1
  return parts / mask.sum(axis=1, dtype=np.float32)[:, None]
