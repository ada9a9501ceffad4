"""Shows the graph that a network has learned (the paper's section A.4)."""

import pathlib
from typing import Any

import jax
import numpy as np

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.figures.graphs import plot_adjacencies, plot_joint_weights
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.functional import semantic_adjacency, spread_edges
from semgcn_jax.models.graph import adjacency_mask, partitions
from semgcn_jax.runs.networks import restore_network


def learned_adjacencies(
  params: dict[str, Any], skeleton: Skeleton
) -> dict[str, np.ndarray]:
  """Collects the adjacency that each graph convolution has learned.

  For channel-wise convolutions it is the mean over channels; for ST-GCN, the
  sum of its partitions, weighted by the edge importance.

  Args:
    params: The params of a model.
    skeleton: The skeleton of its J joints.

  Returns:
    {layer: `[J, J]`}, from input to output; empty if the adjacency is fixed, or
    computed from each input.
  """
  mask = adjacency_mask(skeleton)
  found = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    *layers, name = (key.key for key in path)
    layer = '/'.join(layer for layer in layers if layer != 'conv')
    if name == 'edge_logits':
      adjacency = semantic_adjacency(leaf, mask)
      found[layer] = np.asarray(adjacency.reshape(-1, *mask.shape).mean(axis=0))
    elif name == 'edge_importance':
      weighted = partitions(skeleton) * spread_edges(leaf, mask)
      found[layer] = np.asarray(weighted.sum(axis=0))
  return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(layer: str) -> tuple[int, int, str]:
  """Returns a key that sorts layers from input to output.

  It puts 'residual2/block1' before 'residual10/block1'.
  """
  block, _, rest = layer.partition('/')
  end = {'input': 0, 'output': 2}.get(block, 1)
  number = block.lstrip('abcdefghijklmnopqrstuvwxyz_')
  return end, int(number or 0), rest


def joint_weights(
  adjacencies: dict[str, np.ndarray], skeleton: Skeleton
) -> np.ndarray:
  """Averages each joint's weight for itself over the layers, `[J]`.

  We take these diagonals to be the paper's Fig. 8, where joints far from the
  center of the skeleton have higher weights, too. They have fewer neighbors:
  even before training, each weight is one over the number of entries in its
  row. The paper leaves out the first and the last layer.

  Args:
    adjacencies: The result of `learned_adjacencies`.
    skeleton: The skeleton of the J joints.
  """
  every = np.stack(list(adjacencies.values()))
  joints = np.arange(skeleton.num_joints)
  return every[:, joints, joints].mean(axis=0)


def show_learned(
  checkpoint: str | pathlib.Path,
  which: str,
  output_dir: pathlib.Path,
  *,
  seed: int | None = None,
) -> None:
  """Draws adjacencies.png and, of a skeleton, joint_weights.png.

  Args:
    checkpoint: The run folder, or the name of bundled weights.
    which: 'best', 'last' or the number of an epoch.
    output_dir: The folder for the figures.
    seed: The seed to use of a run with several; None takes the first.

  Raises:
    UserError: There is no such run or checkpoint, or it learns no adjacency.
    SettingError: There is no such seed, or the folder cannot be written.
  """
  network = restore_network(checkpoint, which)
  skeleton = network.skeleton
  params = network.of_seed(seed)['params']
  adjacencies = learned_adjacencies(params, skeleton)
  if not adjacencies:
    raise UserError(
      f'{checkpoint}: its network learns no adjacency; name a run with'
      ' `conv=semantic` or `conv=channel_wise`, or `model=st_gcn`'
    )
  weights = joint_weights(adjacencies, skeleton)
  paths = [output_dir / 'adjacencies.png']
  try:
    output_dir.mkdir(parents=True, exist_ok=True)
    plot_adjacencies(adjacencies, paths[0], skeleton=skeleton)
    if not isinstance(skeleton, Graph):  # Whose nodes have no places.
      paths.append(output_dir / 'joint_weights.png')
      plot_joint_weights(weights, paths[1], skeleton=skeleton)
  except OSError as error:
    raise SettingError(
      f'`output_dir={output_dir}`: {error.strerror}'
    ) from error
  print(*paths, sep='\n')
  order = np.argsort(-weights)
  texts = ', '.join(f'{skeleton.joints[j]} {weights[j]:.2f}' for j in order)
  print(f'epoch {network.progress.epoch}, weights of the nodes: {texts}')
