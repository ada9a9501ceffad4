"""What a trained network has learned of the graph (the paper's section A.4)."""

import pathlib
from typing import Any

import jax
import numpy as np

from semgcn_jax import checkpoints, visualize
from semgcn_jax.errors import FlagError, UserError
from semgcn_jax.evaluate import seed_variables
from semgcn_jax.functional import semantic_adjacency, spread_edges
from semgcn_jax.graph import adjacency_mask, partitions
from semgcn_jax.skeleton import Skeleton


def learned_adjacencies(
  params: dict[str, Any], skeleton: Skeleton
) -> dict[str, np.ndarray]:
  """The adjacency that each graph convolution has learned.

  Of channel-wise convolutions the mean over the channels; of ST-GCN's the sum
  of its parts, weighted by the importance of the edges.

  Args:
    params: of a model.
    skeleton: its graph.

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
  ends = {'input': 0, 'output': 2}  # What is between has sorted names.
  return dict(sorted(found.items(), key=lambda item: ends.get(item[0], 1)))


def joint_weights(
  adjacencies: dict[str, np.ndarray], skeleton: Skeleton
) -> np.ndarray:
  """What each joint gives itself, the diagonal, as mean over the layers.

  This is how the paper's Fig. 8 is read here: there too, joints far from the
  centre of the skeleton have more. They have fewer neighbours to share with,
  and begin so, at one over the number of entries in their row. The paper leaves
  out the first and the last layer.

  Args:
    adjacencies: of `learned_adjacencies`.
    skeleton: of J joints.

  Returns:
    `[J]`.
  """
  every = np.stack(list(adjacencies.values()))
  joints = np.arange(skeleton.num_joints)
  return every[:, joints, joints].mean(axis=0)


def show_learned(
  workdir: pathlib.Path,
  which: str,
  output_dir: pathlib.Path,
  *,
  seed: int | None = None,
) -> None:
  """Draws adjacencies.png and joint_weights.png of a checkpoint.

  Args:
    workdir: folder of the run.
    which: 'best', 'last' or the number of an epoch.
    output_dir: gets the figures.
    seed: of a run with several; None: the first.

  Raises:
    UserError: no run, no checkpoint, or no learned adjacency.
    FlagError: no such seed, or a folder that cannot be written.
  """
  config, skeleton, variables, progress = checkpoints.restore_network(
    workdir, which
  )
  index = 0 if seed is None else config.index_of_seed(seed)
  params = seed_variables(variables, config)[index]['params']
  adjacencies = learned_adjacencies(params, skeleton)
  if not adjacencies:
    raise UserError(
      f'{workdir}: its network learns no adjacency; name a run with'
      ' --conv=semantic or channel_wise, or --model=st_gcn'
    )
  weights = joint_weights(adjacencies, skeleton)
  try:
    output_dir.mkdir(parents=True, exist_ok=True)
    for name, plot, values in (
      ('adjacencies.png', visualize.plot_adjacencies, adjacencies),
      ('joint_weights.png', visualize.plot_joint_weights, weights),
    ):
      plot(values, output_dir / name, skeleton=skeleton)
      print(output_dir / name)
  except OSError as error:
    raise FlagError(f'--output_dir={output_dir}: {error.strerror}') from error
  order = np.argsort(-weights)
  listed = ', '.join(f'{skeleton.joints[j]} {weights[j]:.2f}' for j in order)
  print(f'epoch {progress.epoch}, weights of the joints: {listed}')
