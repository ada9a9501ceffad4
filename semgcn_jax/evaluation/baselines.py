"""Predictions that a network should beat: the mean, and linear maps."""

from collections.abc import Callable, Iterator

import numpy as np

from semgcn_jax.data.pairs import Pairs
from semgcn_jax.geometry.graphs import Scale

# The strengths of ridge regression to choose from, in standardized units.
_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
_HELD_OUT = 0.1  # The last share of the training pairs, to choose it on.


def mean(train: Pairs, test: Pairs) -> np.ndarray:
  """Predicts the mean of each node's targets, `[N, J, D]`."""
  known = np.isfinite(train.targets)
  total = np.where(known, train.targets, 0).sum(axis=0, dtype=float)
  means = total / np.maximum(known.sum(axis=0), 1)
  return np.broadcast_to(means, test.targets.shape)


def linear(train: Pairs, test: Pairs) -> np.ndarray:
  """Predicts by ridge regression from all nodes to all, `[N, J, D]`.

  Missing inputs count as the mean; missing targets are not fitted to. The
  strength, one for each target, is the best on the last tenth of the training
  pairs.
  """
  shape = test.targets.shape
  x, y, new = (
    values.reshape(len(values), -1).astype(float)
    for values in (train.inputs, train.targets, test.inputs)
  )
  return _ridge(x, y, new).reshape(shape)


def linear_at_nodes(train: Pairs, test: Pairs) -> np.ndarray:
  """Predicts by a ridge regression for each node from itself, `[N, J, D]`."""
  each = [
    _ridge(*(a[:, node].astype(float) for a in arrays))
    for arrays in [(train.inputs, train.targets, test.inputs)]
    for node in range(train.inputs.shape[1])
  ]
  return np.stack(each, axis=1)


def linear_shared(train: Pairs, test: Pairs) -> np.ndarray:
  """Predicts by one ridge regression for every node from itself, `[N, J, D]`.

  See `linear`.
  """
  x, y, new = (
    values.reshape(-1, values.shape[-1]).astype(float)
    for values in (train.inputs, train.targets, test.inputs)
  )
  return _ridge(x, y, new).reshape(test.targets.shape)


def _ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
  """Fits `[N, C]` -> `[N, D]`, and predicts for `[M, C]`."""
  x, new = _standardized(x, x), _standardized(new, x)
  predicted = np.zeros((len(new), y.shape[1]))
  # Targets that are known in the same pairs are fitted together.
  patterns: dict[bytes, list[int]] = {}
  for column, known in enumerate(np.isfinite(y).T):
    patterns.setdefault(known.tobytes(), []).append(column)
  for columns in patterns.values():
    known = np.isfinite(y[:, columns[0]])
    if known.any():
      predicted[:, columns] = _fit(x[known], y[known][:, columns], new)
  return predicted


def _fit(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
  """Does the same where nothing is missing."""
  shift, end = y.mean(axis=0), int(len(x) * (1 - _HELD_OUT))
  errors = [
    np.square(values - y[end:] + shift).sum(axis=0)
    for values in _predictions(x[:end], y[:end] - shift, x[end:])
  ]
  best = np.argmin(errors, axis=0)  # `[D]`
  every = np.stack(list(_predictions(x, y - shift, new)))
  return every[best, :, np.arange(y.shape[1])].T + shift


def _predictions(
  x: np.ndarray, y: np.ndarray, new: np.ndarray
) -> Iterator[np.ndarray]:
  """Predicts with each of `_STRENGTHS`."""
  sizes, axes = np.linalg.eigh(x.T @ x)
  along, turned = axes.T @ (x.T @ y), new @ axes
  for strength in _STRENGTHS:
    yield turned @ (along / (np.maximum(sizes, 0) + strength)[:, None])


def _standardized(values: np.ndarray, of: np.ndarray) -> np.ndarray:
  """Standardizes `[N, C]` by the known values of others; 0 where unknown."""
  scaled = Scale.of(of).apply(values)
  return np.where(np.isfinite(scaled), scaled, 0.0)


# {name: predicts the targets of the test pairs, given the training pairs}.
BASELINES: dict[str, Callable[[Pairs, Pairs], np.ndarray]] = {
  'mean of each node': mean,
  'linear, all nodes': linear,
  'linear, each node': linear_at_nodes,
  'linear, shared by nodes': linear_shared,
}
