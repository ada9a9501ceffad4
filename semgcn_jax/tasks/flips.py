"""Mirrors training poses and images on the device."""

import jax
import jax.numpy as jnp

from semgcn_jax.geometry.skeletons import Skeleton, mirror
from semgcn_jax.models.image_network import mirror_images

Array = jax.Array


def random_flip(
  rng: Array, batch: dict[str, Array], skeleton: Skeleton
) -> dict[str, Array]:
  """Mirrors each sample of a batch with probability one half.

  Mirrors `inputs`, `targets`, `roots` and `images`; the rest is unchanged.
  """
  mirrors = {
    **dict.fromkeys(('inputs', 'targets'), lambda x: mirror(x, skeleton)),
    'roots': lambda roots: roots * jnp.array([-1.0, 1.0, 1.0]),
    'images': mirror_images,
  }
  chosen = jax.random.bernoulli(rng, shape=(len(batch['targets']),))
  flipped = {}
  for name in [name for name in mirrors if name in batch]:
    array = batch[name]
    which = chosen.reshape(-1, *(1,) * (array.ndim - 1))
    flipped[name] = jnp.where(which, mirrors[name](array), array)
  return batch | flipped
