"""Trees of arrays as a few long vectors.

A network has a hundred small parameters. As two vectors, the optimizer and the
averages over the steps are a few operations instead of hundreds, which is most
of what a small step would wait for.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# {'kernel': what weight decay is for, 'rest': the others}.
Vectors = dict[str, jax.Array]


def is_kernel(path: tuple[Any, ...]) -> bool:
  return path[-1].key == 'kernel'


def packing(
  like: Any,
) -> tuple[Callable[[Any], Vectors], Callable[[Vectors], Any]]:
  """How to pack a tree of arrays of one type, and to unpack it.

  Args:
    like: a tree of dicts; gives names and shapes.

  Returns:
    Tree -> vectors, and vectors -> tree.
  """
  paths_and_leaves, structure = jax.tree_util.tree_flatten_with_path(like)
  shapes = [leaf.shape for _, leaf in paths_and_leaves]
  members: dict[str, list[int]] = {}
  for index, (path, _) in enumerate(paths_and_leaves):
    name = 'kernel' if is_kernel(path) else 'rest'
    members.setdefault(name, []).append(index)

  def pack(tree):
    leaves = jax.tree.leaves(tree)
    return {
      name: jnp.concatenate([leaves[index].ravel() for index in indices])
      for name, indices in members.items()
    }

  def unpack(vectors):
    leaves = [None] * len(shapes)
    for name, indices in members.items():
      sizes = [int(np.prod(shapes[index])) for index in indices]
      parts = jnp.split(vectors[name], np.cumsum(sizes)[:-1])
      for index, part in zip(indices, parts, strict=True):
        leaves[index] = part.reshape(shapes[index])
    return jax.tree.unflatten(structure, leaves)

  return pack, unpack


def map_like(function: Callable[[Any], Any], tree: Any, like: Any) -> Any:
  """Applies a function to every part of a tree that has the structure of
  `like`, as the moments of an optimizer have that of the parameters."""
  structure = jax.tree.structure(like)

  def matches(part):
    return jax.tree.structure(part) == structure

  return jax.tree.map(
    lambda part: function(part) if matches(part) else part,
    tree,
    is_leaf=matches,
  )
