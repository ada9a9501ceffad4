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

# Weight decay is for the arrays under 'kernel', not for those under 'rest'.
Vectors = dict[str, jax.Array]


def is_kernel(path: tuple[Any, ...]) -> bool:
  """Tells whether a path in a tree of parameters is that of a kernel."""
  return path[-1].key == 'kernel'


def packing(
  like: Any,
) -> tuple[Callable[[Any], Vectors], Callable[[Vectors], Any]]:
  """Makes the functions that pack and unpack trees of arrays of one type.

  Args:
    like: A tree of dicts, which has the names and the shapes of all others.

  Returns:
    A function from a tree to its vectors, and one from vectors to their tree.
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
    leaves: list[Any] = [None] * len(shapes)
    for name, indices in members.items():
      sizes = [int(np.prod(shapes[index])) for index in indices]
      parts = jnp.split(vectors[name], np.cumsum(sizes)[:-1])
      for index, part in zip(indices, parts, strict=True):
        leaves[index] = part.reshape(shapes[index])
    return jax.tree.unflatten(structure, leaves)

  return pack, unpack


def map_like(function: Callable[[Any], Any], tree: Any, like: Any) -> Any:
  """Applies a function to every part of a tree that is structured like another.

  The moments of an optimizer, for example, are structured like the parameters.

  Args:
    function: A function of such a part.
    tree: The tree that has such parts.
    like: The tree that they are structured like.

  Returns:
    The tree with each part replaced by what the function makes of it.
  """
  structure = jax.tree.structure(like)

  def matches(part):
    return jax.tree.structure(part) == structure

  return jax.tree.map(
    lambda part: function(part) if matches(part) else part,
    tree,
    is_leaf=matches,
  )
