"""Keeps predicted poses within the limits of a human body."""

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.geometry.skeletons import H36M, bone_vectors, join_bones

Array = jax.Array

# Median bone lengths of `H36M` in metres, ordered by child joint, over the
# training subjects of the CMU benchmark; those of both sides are averaged.
MEDIAN_LENGTHS = np.array(
  (
    *(0.0876, 0.4086, 0.4233, 0.0876, 0.4086, 0.4233, 0.2220, 0.2360),
    *(0.2857, 0.2012, 0.2997, 0.29325, 0.2012, 0.2997, 0.29325),
  )
)
LONGEST = 1.9  # The longest a bone can be, in medians.
SHORTEST_SUM = 0.55  # The least sum of all bones, in sums of the medians.


def bound(poses: Array) -> Array:
  """Clamps the lengths of bones, and keeps their directions.

  A pose within the bounds is unchanged, up to rounding.

  Args:
    poses: The poses, `[..., 16, 3]`, metres, of the skeleton `H36M`.

  Returns:
    Finite poses with the root at the origin. Each bone is at most `LONGEST`
    times its median, and the sum is at least `SHORTEST_SUM` times that of the
    medians.
  """
  medians = jnp.asarray(MEDIAN_LENGTHS, poses.dtype)
  # The squares of very long bones would overflow.
  bones = jnp.nan_to_num(bone_vectors(poses, H36M), posinf=1e3, neginf=-1e3)
  bones = jnp.clip(bones, -1e3, 1e3)
  lengths = jnp.sqrt(jnp.sum(jnp.square(bones), axis=-1))
  down = jnp.array([0.0, 1.0, 0.0], poses.dtype)
  directions = jnp.where(
    (lengths > 1e-6)[..., None],
    bones / jnp.maximum(lengths, 1e-6)[..., None],
    down,
  )
  wanted = jnp.minimum(lengths, LONGEST * medians)
  total, least = wanted.sum(axis=-1), SHORTEST_SUM * medians.sum()
  # Short bodies are blended with the median one, up to the least sum.
  share = (least - total) / jnp.maximum(medians.sum() - total, 1e-6)
  share = jnp.where(total < least, share, 0)[..., None]
  wanted = wanted + share * (medians - wanted)
  return join_bones(directions * wanted[..., None], H36M)
