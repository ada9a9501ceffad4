"""Shows what a network has learned of the graph (the paper's section A.4)."""

import pathlib
from typing import Any

import jax
import numpy as np

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.figures.graphs import plot_adjacencies, plot_joint_weights
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.functional import semantic_adjacency, spread_edges
from semgcn_jax.models.graph import adjacency_mask, partitions
from semgcn_jax.runs.checkpoints import restore_network


def learned_adjacencies(
  params: dict[str, Any], skeleton: Skeleton
) -> dict[str, np.ndarray]:
  """Collects the adjacency that each graph convolution has learned.

  Of a channel-wise convolution it is the mean over the channels; of ST-GCN's,
  the sum of its parts, weighted by the importance of the edges.

  Args:
    params: The params of a model.
    skeleton: The skeleton of its J joints.

  Returns:
    {layer: `[J, J]`}, from the input to the output; empty for a model whose
    adjacency is fixed, or computed from each input.
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
  """Makes a key that sorts layers as data flows through them.

  By it, 'residual2/block1' comes before 'residual10/block1'.
  """
  block, _, rest = layer.partition('/')
  end = {'input': 0, 'output': 2}.get(block, 1)
  number = block.lstrip('abcdefghijklmnopqrstuvwxyz_')
  return end, int(number or 0), rest


def joint_weights(
  adjacencies: dict[str, np.ndarray], skeleton: Skeleton
) -> np.ndarray:
  """Averages over the layers the weight that each joint has for itself.

  These weights, the diagonals, are what the paper's Fig. 8 is taken to show:
  there too, joints far from the centre of the skeleton have higher ones. They
  have fewer neighbours to share with: even before training, each weight is one
  over the number of entries in its row. The paper leaves out the first and the
  last layer.

  Args:
    adjacencies: What `learned_adjacencies` returns.
    skeleton: The skeleton of the J joints.

  Returns:
    The weight of each joint, `[J]`.
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
  """Draws adjacencies.png and joint_weights.png of a checkpoint.

  Args:
    checkpoint: The folder of the run, or the name of weights in the box.
    which: The checkpoint: 'best', 'last' or the number of an epoch.
    output_dir: The folder that gets the figures.
    seed: The seed to take, of a run with several; None takes the first.

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
  paths = output_dir / 'adjacencies.png', output_dir / 'joint_weights.png'
  try:
    output_dir.mkdir(parents=True, exist_ok=True)
    plot_adjacencies(adjacencies, paths[0], skeleton=skeleton)
    plot_joint_weights(weights, paths[1], skeleton=skeleton)
  except OSError as error:
    raise SettingError(
      f'`output_dir={output_dir}`: {error.strerror}'
    ) from error
  print(*paths, sep='\n')
  order = np.argsort(-weights)
  texts = ', '.join(f'{skeleton.joints[j]} {weights[j]:.2f}' for j in order)
  print(f'epoch {network.progress.epoch}, weights of the joints: {texts}')
