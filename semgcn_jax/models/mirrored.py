"""Ties the weights of a network so that mirrored input gives mirrored output.

Mirroring swaps the left and the right joints and negates x. In a tied network
it also swaps the two halves of the hidden channels: the weights are averaged
with those that this turns them into, so that every layer treats both sides
alike (an equivariant network, arXiv:1602.07576). Tying tied weights changes
nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.graph import adjacency_mask
from semgcn_jax.models.inputs import MIRRORED_INPUTS

Array = jax.Array


def tie(
  variables: dict[str, Any], config: ModelConfig, skeleton: Skeleton
) -> dict[str, Any]:
  """Ties the params and batch_stats of a SemGCN with `mirrored`.

  Args:
    variables: The variables, or some of their collections.
    config: The settings of the network.
    skeleton: Its skeleton, with sides.

  Returns:
    The tied variables; the gradient of a loss by the given ones is tied too.
  """
  signs = {
    'input': np.ones(config.input_channels, np.float32),
    'output': np.ones(config.output_channels, np.float32),
  }
  signs['input'][list(MIRRORED_INPUTS if config.input_joints else (0,))] = -1
  signs['output'][0] = -1
  edges = _mirrored_edges(skeleton)

  def mirror(path: Sequence[Any], leaf: Array) -> Array:
    names = [key.key for key in path]
    block, layer, name = names[1], names[-2], names[-1]
    if name == 'edge_logits':
      return leaf[edges]
    if block == 'output':
      if name == 'kernel':
        leaf = _swap(leaf, -2)
      return leaf * signs['output']
    if name == 'kernel' and block == 'input' and layer == 'conv':
      return _swap(leaf * signs['input'][:, None], -1)
    if name == 'affinity':
      return _swap(leaf, -1, (len(leaf) // 2,))
    if name == 'kernel' and layer.startswith('time'):
      # Queries, keys and values.
      ends = (leaf.shape[-2] // 4, leaf.shape[-2] // 2)
      return _swap(_swap(leaf, -2), -1, ends)
    if name == 'distance':
      return _swap(leaf, -1)
    if name in ('kernel', 'output'):
      leaf = _swap(leaf, -2)
    return _swap(leaf, -1)

  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: (leaf + mirror(path, leaf)) / 2, variables
  )


def tied_apply(
  apply: Callable[..., Any], config: ModelConfig, skeleton: Skeleton
) -> Callable[..., Any]:
  """Makes the `apply` of a module tie its variables before and after."""

  def apply_tied(variables, *args, **kwargs):
    result = apply(tie(variables, config, skeleton), *args, **kwargs)
    if not kwargs.get('mutable'):
      return result
    outputs, updated = result
    return outputs, tie(updated, config, skeleton)

  return apply_tied


def _swap(leaf: Array, axis: int, ends: Sequence[int] = ()) -> Array:
  """Swaps the halves of each part of an axis, which ends at `ends`."""
  parts = jnp.split(leaf, ends, axis)
  return jnp.concatenate(
    [jnp.roll(part, part.shape[axis] // 2, axis) for part in parts], axis
  )


def _mirrored_edges(skeleton: Skeleton) -> np.ndarray:
  """Returns the index of each edge's mirror image, `[E]`."""
  mask = adjacency_mask(skeleton)
  numbers = np.zeros(mask.shape, int)
  numbers[mask > 0] = np.arange(int(mask.sum()))
  order = list(skeleton.mirror_order)
  return numbers[np.ix_(order, order)][mask > 0]
