"""Image-aligned targets, and the canonical size of a skeleton.

Both follow section 5.1 of the paper, after Zhou et al. (arXiv:1704.02447).
"""

import dataclasses

import numpy as np

from semgcn_jax.data.pairs import Pairs
from semgcn_jax.geometry.skeletons import Skeleton, bone_vectors


def bone_length_sum(positions: np.ndarray, skeleton: Skeleton) -> np.ndarray:
  """Sums the bone lengths of each pose.

  Args:
    positions: Poses `[..., J, D]` in any unit.
    skeleton: The skeleton of these J joints.

  Returns:
    The sums `[...]`, in the same unit.
  """
  return np.linalg.norm(bone_vectors(positions, skeleton), axis=-1).sum(axis=-1)


def canonical_length(train: Pairs, skeleton: Skeleton) -> float:
  """Averages the sum of bone lengths over the training poses, in metres."""
  return float(bone_length_sum(train.targets, skeleton).mean(dtype=np.float64))


def center_inputs(pairs: Pairs, skeleton: Skeleton) -> Pairs:
  """Moves the root of every 2D input to the origin.

  Inputs with images stay in place, since the network finds them there.
  """
  if pairs.images is not None:
    return pairs
  inputs = pairs.inputs - pairs.inputs[:, skeleton.root, None]
  return dataclasses.replace(pairs, inputs=inputs)


def image_aligned(pairs: Pairs, skeleton: Skeleton) -> Pairs:
  """Centers the inputs, and scales each target so its x and y match the input.

  Targets change from metres to units of the normalized screen.
  """
  pairs = center_inputs(pairs, skeleton)
  scale = bone_length_sum(pairs.inputs, skeleton) / bone_length_sum(
    pairs.targets[..., :2], skeleton
  )
  return dataclasses.replace(
    pairs, targets=pairs.targets * scale[:, None, None]
  )
