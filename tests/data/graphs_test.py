"""Datasets of graphs, in memory and as files."""

import numpy as np
import pytest
from graphed import make_dataset

from semgcn_jax.config.presets import preset
from semgcn_jax.data import graphs
from semgcn_jax.data.graphs import GraphDataset
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.graphs import Graph, Scale, load_graph
from semgcn_jax.geometry.skeletons import save_skeleton


def changed(**arrays):
  dataset = make_dataset()
  names = ('inputs', 'targets', 'edges', 'splits', 'nodes', 'features')
  return GraphDataset(**{n: getattr(dataset, n) for n in names} | arrays)


def test_a_file_there_and_back(tmp_path):
  dataset = make_dataset()
  dataset.write(tmp_path / 'data_graph_ring.npz')
  assert [each.name for each in tmp_path.iterdir()] == ['data_graph_ring.npz']
  config = preset('regression', dataset='ring', data_dir=str(tmp_path)).data
  read = graphs.read(config)
  np.testing.assert_array_equal(read.targets, dataset.targets)
  assert read.graph == dataset.graph
  splits = graphs.load(config, dataset.graph, train=True)
  assert [*splits] == ['train', 'val', 'test']
  assert [*graphs.load(config, dataset.graph, train=False)] == ['test']
  rows = [i for i, split in enumerate(dataset.splits) if split == 'val']
  np.testing.assert_array_equal(splits['val'].inputs, dataset.inputs[rows])


def test_scales_are_those_of_what_is_known_in_the_training_split():
  dataset = make_dataset()
  graph = dataset.graph
  for scale, values in (
    (graph.inputs, dataset.inputs),
    (graph.targets, dataset.targets),
  ):
    for feature in range(values.shape[-1]):
      known = [
        float(number)
        for sample, split in zip(values, dataset.splits, strict=True)
        for number in sample[:, feature]
        if split == 'train' and not np.isnan(number)
      ]
      mean = sum(known) / len(known)
      variance = sum((number - mean) ** 2 for number in known) / len(known)
      assert scale.mean[feature] == pytest.approx(mean, rel=1e-5, abs=1e-6)
      assert scale.sd[feature] == pytest.approx(variance**0.5, rel=1e-5)
    np.testing.assert_allclose(
      scale.undo(scale.apply(values)), values, rtol=1e-5, atol=1e-5
    )


def test_another_training_split_is_refused(tmp_path):
  dataset = make_dataset()
  path = tmp_path / 'data_graph_ring.npz'
  changed(inputs=2 * dataset.inputs).write(path)
  config = preset('regression', dataset='ring', data_dir=str(tmp_path)).data
  assert graphs.load(config, dataset.graph, train=False)
  with pytest.raises(UserError, match='training split is not that of the run'):
    graphs.load(config, dataset.graph, train=True)


def test_small_units_are_units():
  values = 1e-15 * np.random.default_rng(0).normal(size=(50, 1))
  assert Scale.of(values).sd[0] == pytest.approx(values.std(), rel=1e-6)
  assert Scale.of(np.full((3, 1), np.nan)) == Scale((0.0,), (1.0,))


def test_what_does_not_vary_is_not_divided_by_nothing():
  scale = Scale.of(np.full((4, 2), 3.0))
  assert scale == Scale((3.0, 3.0), (1.0, 1.0))


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    ({'inputs': np.zeros((3, 4))}, 'inputs: have the shape'),
    ({'inputs': np.full((120, 6, 2), np.inf)}, 'inputs: are infinite'),
    ({'inputs': np.zeros((120, 5, 2))}, 'same samples and nodes'),
    ({'edges': np.zeros((3, 3), int)}, 'edges: have the shape'),
    ({'edges': np.zeros((3, 2))}, 'edges: have the shape'),
    ({'splits': np.array(['train'] * 3)}, 'one of train, val, test for each'),
    ({'splits': np.array(['learn'] * 120)}, r'test \(not learn\) for each'),
    ({'edges': np.array([[0, 6]])}, 'edges: connect nodes 0 to 6; the 6 nodes'),
    ({'features': np.array(['a', 'a'])}, 'must be different names'),
    ({'targets': np.full((120, 6, 2), [0, np.nan])}, 'shift is never known'),
    ({'inputs': np.full((120, 6, 2), 1e300)}, 'too large for float32'),
    ({'splits': np.array(['train'] * 120)}, "no targets of the split 'test'"),
    ({'nodes': np.array(['a'])}, 'nodes: give 6 names'),
    ({'features': np.array(['a'])}, 'features: give 2 names'),
  ],
)
def test_arrays_that_do_not_fit(arrays, message):
  with pytest.raises(UserError, match=message):
    changed(**arrays)


def test_files_that_hold_no_dataset(tmp_path):
  path = tmp_path / 'data_graph_bad.npz'
  config = preset('regression', dataset='bad', data_dir=str(tmp_path)).data
  with pytest.raises(SettingError, match='there is no .*name yours'):
    graphs.read(config)
  np.savez(path, inputs=np.zeros((2, 3, 1)))
  with pytest.raises(UserError, match=f'{path}: lacks an array'):
    graphs.read(config)
  path.write_bytes(b'PK damaged')
  with pytest.raises(UserError, match=str(path)):
    graphs.read(config)
  arrays = {n: getattr(make_dataset(), n) for n in ('inputs', 'targets')}
  splits = make_dataset().splits
  np.savez(path, edges=[[0, 9]], splits=splits, **arrays)
  with pytest.raises(UserError, match=f'{path}: edges: connect nodes 0 to 9'):
    graphs.read(config)
  np.savez(path, edges=[], splits=splits.astype(object), **arrays)
  with pytest.raises(UserError, match=f'{path}: not an npz of plain arrays'):
    graphs.read(config)
  changed(edges=np.array([[0, 1]])).write(path)
  with pytest.raises(UserError, match='another graph'):
    graphs.load(config, make_dataset().graph, train=True)


def test_graphs_are_saved_beside_skeletons(tmp_path):
  graph, path = make_dataset().graph, tmp_path / 'skeleton.json'
  save_skeleton(graph, path)
  assert load_graph(str(path)) == graph
  assert load_graph(str(path)).fingerprint == graph.fingerprint
  assert load_graph('h36m').num_nodes == 16
  path.write_text('{"edges": 3}')
  with pytest.raises(UserError, match='not a skeleton or graph'):
    load_graph(str(path))
  with pytest.raises(UserError, match='no edge'):
    Graph(('a', 'b'), ((0, 2),))
  natural = Graph(nodes=['a', 'b'], edges=np.array([[0, 1]]))
  assert hash(natural) and natural.edges == ((0, 1),)
  with pytest.raises(UserError, match='groups must hold every node'):
    Graph(('a', 'b'), (), graph.inputs, graph.targets, ((0,),))
