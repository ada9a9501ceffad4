"""The task of graphs: from features of the nodes to others, of any meaning."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semgcn_jax.data.pairs import Pairs
from semgcn_jax.geometry.cameras import Camera
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.tasks.augmentation import Batch
from semgcn_jax.tasks.frames import Array, Frames


class Regression(Frames):
  """The task of graphs, whose networks learn standardized features."""

  def arrays(self, train: Pairs) -> dict[str, Any]:
    """Returns the standardized features; targets that are missing are NaN."""
    graph = self.skeleton
    assert isinstance(graph, Graph)
    return {
      'inputs': np.nan_to_num(graph.inputs.apply(train.inputs)),
      'targets': graph.targets.apply(train.targets),
    }

  def make_augment(
    self, cameras: Sequence[Camera], fps: float
  ) -> Callable[[Array, Batch], Batch]:
    """Returns the function (rng, batch) -> batch that changes nothing."""
    del cameras, fps
    return lambda rng, batch: batch

  def to_score(self, pairs: Pairs) -> Pairs:
    """Returns the pairs; nothing is converted."""
    return pairs
