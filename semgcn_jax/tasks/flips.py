"""Mirrors training poses, and the pictures of them, on the device."""

import jax
import jax.numpy as jnp

from semgcn_jax.geometry.skeletons import Skeleton, mirror
from semgcn_jax.models.image_network import mirror_images

Array = jax.Array


def random_flip(
  rng: Array, batch: dict[str, Array], skeleton: Skeleton
) -> dict[str, Array]:
  """Mirrors each pose, or clip, of a batch with a probability of one half.

  Args:
    rng: The random key.
    batch: `targets` `[B, ..., J, 3]`, and, where there are any, `inputs` `[B,
      ..., J, C]`, `roots` `[B, ..., 3]` and `images` `[B, S, S, 3]`.
    skeleton: The skeleton of the poses.

  Returns:
    The batch, with all of these mirrored together.
  """
  chosen = jax.random.bernoulli(rng, shape=(len(batch['targets']),))

  def choose(mirrored, array):
    which = chosen.reshape(-1, *(1,) * (array.ndim - 1))
    return jnp.where(which, mirrored, array)

  flipped = {
    name: choose(mirror(batch[name], skeleton), batch[name])
    for name in ('inputs', 'targets')
    if name in batch
  }
  if 'roots' in batch:
    sign = jnp.array([-1.0, 1.0, 1.0])
    flipped['roots'] = choose(batch['roots'] * sign, batch['roots'])
  if 'images' in batch:
    images = batch['images']
    flipped['images'] = choose(mirror_images(images), images)
  return batch | flipped
