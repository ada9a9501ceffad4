"""Trees of arrays as a few long vectors.

A network has a hundred small parameters. With two vectors instead, the
optimizer and the averages take a few operations rather than hundreds, which
would dominate a small step.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Arrays under 'kernel' get weight decay, those under 'rest' do not.
Vectors = dict[str, jax.Array]


def is_kernel(path: tuple[Any, ...]) -> bool:
  """Returns whether a path in a tree of parameters is a kernel's."""
  return path[-1].key == 'kernel'


def packing(
  like: Any,
) -> tuple[Callable[[Any], Vectors], Callable[[Vectors], Any]]:
  """Builds the functions that pack and unpack trees of arrays of one type.

  Args:
    like: A tree of dicts with the names and shapes of the others.

  Returns:
    A function from a tree to its vectors, and its inverse.
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
  """Maps the subtrees that are structured like another tree.

  The moments of an optimizer, for example, are structured like the parameters.

  Args:
    function: A function of such a subtree.
    tree: The tree with such subtrees; the rest of it is unchanged.
    like: The tree with their structure.
  """
  structure = jax.tree.structure(like)

  def matches(part):
    return jax.tree.structure(part) == structure

  def convert(part):
    return function(part) if matches(part) else part

  return jax.tree.map(convert, tree, is_leaf=matches)
