"""The programs of the pages about graphs, on files as small as can be."""

import json
import re
import sys

import numpy as np
import pytest
from command_line import run
from conftest import ROOT

from semgcn_jax import GraphDataset

TINY = ('--hid_dim=8', '--num_layers=1', '--epochs=2', '--batch_size=8')


def programs(page):
  text = (ROOT / 'docs' / f'{page}.md').read_text()
  return re.findall(r'```python\n(.*?)```', text, re.S)


@pytest.fixture
def downloads(tmp_path, monkeypatch):
  """An empty folder for downloads, in a new current folder."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'argv', ['program'])
  (tmp_path / 'downloads').mkdir()
  return tmp_path / 'downloads'


def trained(name, workdir, *flags):
  code, out, err = run(
    *('train', '--task=regression', f'--dataset={name}', *TINY, *flags),
    *('--data_dir=data', f'--workdir={workdir}'),
  )
  assert (code, err) == (0, ''), err
  return out


@pytest.mark.slow
def test_graphs(downloads, capsys):
  del downloads
  dataset, predict, layers = programs('graphs')
  exec(dataset, {})
  out = trained('heat', 'runs/heat', '--choose_on=val')
  assert '2,000 training and 500 test pairs' in out
  values = {}
  exec(predict, values)
  assert values['predicted'].shape == (500, 12, 1)
  capsys.readouterr()
  exec(layers, values)
  assert float(capsys.readouterr().out) < 0.05


@pytest.mark.slow
def test_hands(downloads, capsys):
  rng = np.random.default_rng(0)
  labels = rng.uniform([300, 220, 700], [340, 260, 800], (30, 14, 3))
  np.savetxt(
    downloads / 'nyu_test_groundtruth_label.txt', labels.reshape(30, 42)
  )
  lift, dataset, scores, filmed, lifted = programs('hands')
  exec(lift, {})
  assert capsys.readouterr().out.startswith('(5, 21, 3)')
  exec(filmed.replace('300_000', '200'), {})
  poses = np.load('data/data_3d_hand.npz', allow_pickle=True)['positions_3d']
  assert poses.item()['train']['hands'].shape == (200, 21, 3)
  exec(lifted, {})
  name, mpjpe, p_mpjpe = capsys.readouterr().out.split()
  assert name == 'hand:' and float(mpjpe) > float(p_mpjpe) > 5
  exec(dataset.replace('300_000', '200'), {})
  made = GraphDataset.read('data/data_graph_hands.npz')
  test = made.pairs('test')
  assert made.inputs.shape == (230, 14, 4) and len(test) == 30
  # The first label by hand, millimetres in the frame of the camera.
  (u, v, depth), (palm_u, palm_v, palm_depth) = labels[0, 0], labels[0, -1]
  x = (u - 320) / 588.04 * depth - (palm_u - 320) / 588.04 * palm_depth
  y = (v - 240) / 587.08 * depth - (palm_v - 240) / 587.08 * palm_depth
  np.testing.assert_allclose(
    test.targets[0, 0], [x, y, depth - palm_depth], atol=1e-3
  )
  trained('hands', 'runs/hands', '--num_seeds=3')
  exec(scores, {})
  lines = capsys.readouterr().out.splitlines()
  assert sum('runs/hands, seed' in line for line in lines) == 3


@pytest.mark.slow
def test_mice(downloads):
  scipy_io = pytest.importorskip('scipy.io')
  rng = np.random.default_rng(0)
  for number in (1, 2):
    poses = rng.normal(0, 20, (9, 22, 3))
    poses[0, 9] = np.nan
    camera = {
      'K': np.array([[1600.0, 0, 0], [0, 1600, 0], [600, 500, 1]]),
      'r': np.eye(3),
      't': np.array([[0.0, 0, 300]]),
    }
    labels = {'data_3d': poses.reshape(9, 66)}
    file = {
      'params': np.array([[camera], [camera]], object),
      'labelData': np.array([[labels], [labels]], object),
    }
    scipy_io.savemat(downloads / f'mouse_{number}.mat', file)
  (dataset,) = programs('mice')
  exec(dataset, {})
  made = GraphDataset.read('data/data_graph_mice.npz')
  assert made.inputs.shape == (36, 22, 4) and len(made.edges) == 21
  assert np.isnan(made.targets[0, 9]).all()
  np.testing.assert_allclose(
    made.pairs('test').targets[3, 0], poses[3, 0] - poses[3, 4], atol=1e-4
  )
  out = trained('mice', 'runs/mice')
  assert '18 training and 18 test pairs' in out


@pytest.mark.slow
def test_forecasts(downloads):
  rng = np.random.default_rng(0)
  cases = {
    'edges': [[0, 1], [1, 2]],
    'node_ids': {'C': 2, 'A': 0, 'B': 1},
    'FX': rng.normal(size=(60, 3)).tolist(),
  }
  (downloads / 'chickenpox.json').write_text(json.dumps(cases))
  buses = {
    'nodes': [
      {'bus_stop': stop, 'y': rng.integers(0, 9, 60).tolist()}
      for stop in (70, 20, 50)
    ],
    'links': [{'source': 20, 'target': 50, 'weight': 1.0}],
  }
  (downloads / 'montevideo_bus.json').write_text(json.dumps(buses))
  (dataset,) = programs('forecasts')
  exec(dataset, {})
  made = GraphDataset.read('data/data_graph_chickenpox.npz')
  assert list(made.nodes) == ['A', 'B', 'C']
  np.testing.assert_allclose(
    made.inputs[5, 1], [row[1] for row in cases['FX'][5:9]], rtol=1e-5
  )
  np.testing.assert_allclose(made.targets[5, 1], cases['FX'][9][1], rtol=1e-5)
  assert GraphDataset.read('data/data_graph_buses.npz').edges.tolist() == [
    [1, 2]
  ]
  for name in ('chickenpox', 'buses'):
    trained(name, f'runs/{name}', '--choose_on=val')
