"""Datasets of graphs: any features in and out at the nodes of a fixed graph."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from semgcn_jax.config import DataConfig
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError, UserError, listed, shortened
from semgcn_jax.files import read_arrays, write_output
from semgcn_jax.geometry.graphs import Graph, Scale

SPLITS = ('train', 'val', 'test')


@dataclasses.dataclass(frozen=True, eq=False)
class GraphDataset:
  """N samples of features at the J nodes of a graph.

  Attributes:
    inputs: The features to take, `[N, J, C]` float32; NaN where missing.
    targets: The features to predict, `[N, J, D]` float32; NaN where missing,
      which is neither learned nor scored.
    edges: The pairs of connected nodes, `[E, 2]` int.
    splits: 'train', 'val' (chooses the best epoch) or 'test', `[N]` text.
    nodes: The name of each node, `[J]` text; None numbers them.
    features: The name of each target, `[D]` text; None numbers them.

  Raises:
    UserError: The arrays do not fit each other.

  Examples:
    >>> import numpy as np
    >>> from semgcn_jax import GraphDataset
    >>> values = np.random.default_rng(0).normal(size=(30, 3, 2))
    >>> data = GraphDataset(
    ...   inputs=values,
    ...   targets=values[:, :, :1] ** 2,
    ...   edges=np.array([[0, 1], [1, 2]]),
    ...   splits=np.array(['train'] * 20 + ['test'] * 10),
    ... )
    >>> data.pairs('test').inputs.shape
    (10, 3, 2)
  """

  inputs: np.ndarray
  targets: np.ndarray
  edges: np.ndarray
  splits: np.ndarray
  nodes: np.ndarray | None = None
  features: np.ndarray | None = None

  def __post_init__(self):
    fields = {n: _features(n, getattr(self, n)) for n in ('inputs', 'targets')}
    shape = fields['targets'].shape
    if fields['inputs'].shape[:2] != shape[:2]:
      raise UserError(
        f'inputs {fields["inputs"].shape} and targets {shape}: must have the'
        ' same samples and nodes'
      )
    fields |= {
      'edges': _edges(self.edges, shape[1]),
      'splits': _splits(self.splits, shape[0]),
      'nodes': _names('nodes', self.nodes, shape[1]),
      'features': _names('features', self.features, shape[2]),
    }
    for name, array in fields.items():
      object.__setattr__(self, name, array)
    if len({*fields['features'].tolist()}) < shape[2]:
      raise UserError('features: must be different names')
    known = np.isfinite(self.targets)
    for split in ('train', 'test'):
      if not known[self.splits == split].any():
        raise UserError(f'splits: there are no targets of the split {split!r}')
    learned = known[self.splits == 'train'].any(axis=(0, 1))
    if not learned.all():
      raise UserError(
        f'targets: {fields["features"][learned.argmin()]} is never known in the'
        " split 'train'; leave it out"
      )

  @property
  def graph(self) -> Graph:
    """The graph, with the scales of the training split."""
    train = self.splits == 'train'
    assert self.nodes is not None
    return Graph(
      nodes=tuple(self.nodes.tolist()),
      edges=tuple((int(a), int(b)) for a, b in self.edges),
      inputs=Scale.of(self.inputs[train]),
      targets=Scale.of(self.targets[train]),
    )

  def pairs(self, split: str) -> Pairs:
    """Returns the samples of a split, one of `SPLITS`."""
    if split not in SPLITS:
      raise SettingError(f'`split={split}`: choose from {listed(SPLITS)}')
    rows = self.splits == split
    assert self.features is not None
    none = np.zeros(rows.sum(), np.int32)
    return Pairs(
      inputs=self.inputs[rows],
      targets=self.targets[rows],
      roots=np.zeros((len(none), 3), np.float32),
      cameras=none,
      actions=none,
      action_names=tuple(self.features.tolist()),
      camera_list=(),
    )

  @classmethod
  def read(cls, path: str | pathlib.Path) -> Self:
    """Reads the npz that `write` wrote, or `np.savez`.

    Raises:
      UserError: It is missing or damaged, or its arrays do not fit.
    """
    try:
      arrays = read_arrays(pathlib.Path(path))
      known = {field.name for field in dataclasses.fields(cls)}
      return cls(**{k: v for k, v in arrays.items() if k in known})
    except UserError as error:
      raise UserError(f'{path}: {error}') from error
    except TypeError as error:
      raise UserError(
        f'{path}: lacks an array; it needs inputs, targets, edges and splits'
      ) from error
    except OSError as error:
      raise UserError(f'{path}: {error.strerror or error}') from error
    except ValueError as error:
      raise UserError(
        f'{path}: not an npz of plain arrays ({shortened(error, 100)}); text is'
        ' saved by .astype(str)'
      ) from error

  def write(self, path: str | pathlib.Path) -> None:
    """Writes the dataset as npz."""
    arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def save(temporary):
      with open(temporary, 'wb') as file:
        np.savez_compressed(file, **arrays)

    write_output(pathlib.Path(path), save)


def _features(name: str, given: Any) -> np.ndarray:
  """Returns features as `[N, J, C]` float32, or raises a UserError."""
  array = np.asarray(given)
  if array.ndim != 3 or array.dtype.kind not in 'fiu' or not array.size:
    raise UserError(
      f'{name}: have the shape {array.shape} of {array.dtype}; give numbers,'
      ' [samples, nodes, features]'
    )
  with np.errstate(over='ignore'):
    array = array.astype(np.float32)
  if np.isinf(array).any():
    raise UserError(
      f'{name}: are infinite, or too large for float32; give NaN where one is'
      ' missing, or another unit'
    )
  return array


def _edges(given: Any, count: int) -> np.ndarray:
  """Returns edges between `count` nodes, `[E, 2]`, or raises a UserError."""
  edges = np.asarray(given)
  edges = edges if edges.size else np.zeros((0, 2), int)
  if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in 'iu':
    raise UserError(
      f'edges: have the shape {edges.shape} of {edges.dtype}; give pairs of'
      ' node numbers, [edges, 2]'
    )
  if edges.size and not 0 <= edges.min() <= edges.max() < count:
    raise UserError(
      f'edges: connect nodes {edges.min()} to {edges.max()}; the {count} nodes'
      ' are numbered from 0'
    )
  return edges


def _splits(given: Any, samples: int) -> np.ndarray:
  """Returns the split of each sample, `[N]`, or raises a UserError."""
  splits = np.asarray(given).astype(str)
  others = sorted({*splits.ravel().tolist()} - {*SPLITS})
  if splits.shape != (samples,) or others:
    found = f' (not {shortened(others[0])})' if others else ''
    raise UserError(
      f'splits: give one of {listed(SPLITS)}{found} for each of {samples}'
      ' samples'
    )
  return splits


def _names(name: str, given: Any, count: int) -> np.ndarray:
  """Returns names, `[count]`, numbers if none are given, or raises an error."""
  names = np.arange(count) if given is None else np.asarray(given)
  if names.shape != (count,):
    raise UserError(f'{name}: give {count} names')
  return names.astype(str)


def read(config: DataConfig) -> GraphDataset:
  """Reads data_graph_<dataset>.npz.

  Raises:
    SettingError: There is no such file.
    UserError: It is damaged, or its arrays do not fit each other.
  """
  path = pathlib.Path(config.data_dir) / f'data_graph_{config.dataset}.npz'
  if not path.exists():
    raise SettingError(
      f'there is no {path}; make it as docs/graphs.md describes, or name yours'
      ' by `dataset` and `data_dir`'
    )
  return GraphDataset.read(path)


def load(
  config: DataConfig, graph: Graph, *, train: bool
) -> Mapping[str, Pairs]:
  """Reads the splits of the dataset of a graph; see `datasets.load`.

  Raises:
    UserError: The file has other nodes or features than the graph.
  """
  dataset = read(config)
  own = dataset.graph
  if (own.nodes, own.edges) != (graph.nodes, graph.edges) or (
    len(own.inputs.mean),
    len(own.targets.mean),
  ) != (len(graph.inputs.mean), len(graph.targets.mean)):
    raise UserError(
      f'`dataset={config.dataset}`: has another graph, or other features, than'
      ' the run'
    )
  if train and own != graph:
    raise UserError(
      f'`dataset={config.dataset}`: its training split is not that of the run;'
      ' restore the file, or name another `workdir`'
    )
  there = [s for s in SPLITS if (dataset.splits == s).any()]
  return {s: dataset.pairs(s) for s in there if train or s == 'test'}
