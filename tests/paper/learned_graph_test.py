import jax
import matplotlib.image
import numpy as np
import pytest
from by_loops import random, softmax_by_loops
from command_line import fails, run
from skeletons import HAND
from tiny import TINY

from semgcn_jax.config import presets
from semgcn_jax.figures.graphs import (
  joint_places,
  plot_adjacencies,
  plot_joint_weights,
)
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import abstract_variables
from semgcn_jax.models.graph import adjacency_mask, partitions
from semgcn_jax.paper.learned_graph import joint_weights, learned_adjacencies
from semgcn_jax.training.loop import train


def random_params(**fields):
  settings = presets.preset('cmu', hid_dim=8, num_layers=1, **fields)
  params = abstract_variables(settings.model, H36M)['params']
  return jax.tree.map(lambda x: random(*x.shape), params)


def test_semantic_adjacencies():
  params = random_params()
  found = learned_adjacencies(params, H36M)
  layers = ['input', 'residual0/block1', 'residual0/block2', 'output']
  assert list(found) == layers
  mask = adjacency_mask(H36M)
  expected = softmax_by_loops(params['output']['edge_logits'], mask)
  np.testing.assert_allclose(found['output'], expected, rtol=1e-5)


def test_channel_wise_and_st_gcn_adjacencies():
  mask = adjacency_mask(H36M)
  params = random_params(conv='channel_wise')
  expected = np.mean(
    [softmax_by_loops(e, mask) for e in params['output']['edge_logits']], axis=0
  )
  found = learned_adjacencies(params, H36M)['output']
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  params = random_params(model='st_gcn')
  found = learned_adjacencies(params, H36M)
  assert list(found) == ['input', 'block0/spatial', 'output']
  expected = partitions(H36M).sum(axis=0)[mask]
  expected = expected * params['output']['edge_importance']
  np.testing.assert_allclose(found['output'][mask], expected, rtol=1e-5)
  assert not learned_adjacencies(random_params(conv='gat'), H36M)


def test_layers_are_in_the_order_of_the_data():
  settings = presets.preset('cmu', hid_dim=4, num_layers=11)
  params = abstract_variables(settings.model, H36M)['params']
  found = learned_adjacencies(
    jax.tree.map(lambda x: random(*x.shape), params), H36M
  )
  blocks = [f'residual{i}/block{k}' for i in range(11) for k in (1, 2)]
  assert list(found) == ['input', *blocks, 'output']


def test_joint_weights_by_loops():
  adjacencies = learned_adjacencies(random_params(), H36M)
  for joint, weight in enumerate(joint_weights(adjacencies, H36M)):
    values = [adjacency[joint, joint] for adjacency in adjacencies.values()]
    np.testing.assert_allclose(weight, np.mean(values), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('skeleton', [H36M, HAND])
def test_figures(tmp_path, skeleton):
  places = joint_places(skeleton)
  apart = np.linalg.norm(places[:, None] - places, axis=-1)
  assert (apart + np.eye(len(places)) > 0.4).all()
  mask = adjacency_mask(skeleton).astype(float)
  adjacencies = {f'layer{n}': mask / (n + 1) for n in range(6)}
  plot_adjacencies(adjacencies, tmp_path / 'a.png', skeleton=skeleton)
  weights = joint_weights(adjacencies, skeleton)
  plot_joint_weights(weights, tmp_path / 'b.png', skeleton=skeleton)
  for name in ('a.png', 'b.png'):
    image = matplotlib.image.imread(tmp_path / name)
    assert min(image.shape[:2]) > 300 and np.ptp(image) > 0.5


@pytest.mark.slow
def test_the_command(tmp_path):
  settings = TINY.replace(epochs=1, num_seeds=2, batch_size=400)
  train(settings, tmp_path / 'run')
  flag = f'--checkpoint={tmp_path / "run"}'
  code, out, err = run('show_learned', flag, '--only_seed=1')
  assert (code, err) == (0, '')
  assert (tmp_path / 'run' / 'adjacencies.png').exists()
  assert (tmp_path / 'run' / 'joint_weights.png').exists()
  assert 'epoch 1, weights of the nodes: ' in out
  fails('show_learned', flag, '--only_seed=2', status=2, message='has 0, 1')
