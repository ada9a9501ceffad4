"""Graphs of any kind: nodes with features, and the edges between them."""

import dataclasses
import json
from typing import Any, Protocol

import numpy as np

from semgcn_jax.errors import UserError, shortened
from semgcn_jax.files import read_text
from semgcn_jax.geometry.skeletons import (
  are_whole,
  fingerprint_of,
  load_skeleton,
  to_tuple,
)


class Nodes(Protocol):
  """What a network needs of a graph; a `Skeleton` and a `Graph` have it."""

  @property
  def num_nodes(self) -> int:
    """The number of nodes, J."""
    ...

  @property
  def edges(self) -> tuple[tuple[int, int], ...]:
    """The pairs of connected nodes, in either order."""
    ...

  @property
  def groups(self) -> tuple[tuple[int, ...], ...]:
    """The nodes that non-local layers pool together, see `Skeleton`."""
    ...


@dataclasses.dataclass(frozen=True)
class Scale:
  """The mean and the standard deviation of each of C features.

  Attributes:
    mean: The means, `[C]`.
    sd: The standard deviations, `[C]`, above 0.
  """

  mean: tuple[float, ...]
  sd: tuple[float, ...]

  @classmethod
  def of(cls, values: np.ndarray) -> 'Scale':
    """Measures values, `[..., C]`; those that are NaN do not count.

    A feature that does not vary, or is never known, gets the standard deviation
    1, the latter also the mean 0.
    """
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    known = np.isfinite(rows)
    rows, count = np.where(known, rows, 0), np.maximum(known.sum(axis=0), 1)
    mean = rows.sum(axis=0) / count
    squares = np.where(known, np.square(rows - mean), 0).sum(axis=0)
    sd, size = np.sqrt(squares / count), np.abs(rows).max(axis=0, initial=0)
    sd = np.where(sd > 1e-7 * size, sd, 1.0)
    return cls(tuple(mean.tolist()), tuple(sd.tolist()))

  def apply(self, values: Any) -> Any:
    """Standardizes values, `[..., C]`, of NumPy or JAX."""
    mean, sd = self._arrays
    return (values - mean) / sd

  def undo(self, values: Any) -> Any:
    """Gives standardized values, `[..., C]`, their unit back."""
    mean, sd = self._arrays
    return values * sd + mean

  @property
  def _arrays(self) -> np.ndarray:
    return np.asarray([self.mean, self.sd], np.float32)


@dataclasses.dataclass(frozen=True)
class Graph:
  """An immutable, hashable graph, and what is predicted at its nodes.

  Attributes:
    nodes: The name of each node.
    edges: The pairs of connected nodes.
    inputs: The scale of the features that a network takes; layers alone need
      none.
    targets: The scale of those that it predicts.
    groups: See `Skeleton`.

  Raises:
    UserError: An edge or a group names a node that does not exist.

  Examples:
    >>> from semgcn_jax import Graph
    >>> ring = Graph(nodes=('a', 'b', 'c'), edges=((0, 1), (1, 2), (2, 0)))
    >>> ring.num_nodes
    3
  """

  nodes: tuple[str, ...]
  edges: tuple[tuple[int, int], ...]
  inputs: Scale = Scale((), ())
  targets: Scale = Scale((), ())
  groups: tuple[tuple[int, ...], ...] = ()

  def __post_init__(self):
    for name in ('nodes', 'edges', 'groups'):
      object.__setattr__(self, name, to_tuple(getattr(self, name)))
    known = range(len(self.nodes))
    for edge in self.edges:
      if (
        not isinstance(edge, tuple)
        or len(edge) != 2
        or not all(isinstance(n, int) and n in known for n in edge)
      ):
        raise UserError(
          f'graph: there is no edge {edge} between {len(known)} nodes; give'
          ' pairs of whole numbers, from 0'
        )
    if not are_whole(self.groups, len(known)):
      raise UserError('graph: the groups must hold every node exactly once')

  @property
  def num_nodes(self) -> int:
    """The number of nodes."""
    return len(self.nodes)

  @property
  def num_joints(self) -> int:
    """The number of nodes, which a `Skeleton` calls joints."""
    return self.num_nodes

  @property
  def joints(self) -> tuple[str, ...]:
    """The names of the nodes."""
    return self.nodes

  @property
  def fingerprint(self) -> str:
    """A hash of all fields."""
    return fingerprint_of(self)


def load_graph(name: str) -> Any:
  """Reads a `Graph` or a `Skeleton`, or returns a built-in skeleton.

  Args:
    name: The path of a JSON file, or a key of `SKELETONS`.

  Raises:
    SettingError: There is no such name or file.
    UserError: The file contains neither.
  """
  try:
    fields = json.loads(read_text(name))
    if 'edges' not in fields:
      return load_skeleton(name)
    for key in ('inputs', 'targets'):
      fields[key] = Scale(**_tuples(fields[key]))
    return Graph(**_tuples(fields))
  except OSError:
    return load_skeleton(name)
  except UserError as error:
    raise (
      error if name in str(error) else UserError(f'{name}: {error}')
    ) from None
  except (ValueError, TypeError, LookupError, RecursionError) as error:
    raise UserError(
      f'{name}: not a skeleton or graph ({shortened(error, 200)}); restore the'
      ' file'
    ) from error


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
  return {key: to_tuple(value) for key, value in fields.items()}
