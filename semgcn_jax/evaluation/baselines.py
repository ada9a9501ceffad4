"""Predictions that a network should beat: the mean, and linear maps."""

from collections.abc import Callable

import numpy as np

from semgcn_jax.data.pairs import Pairs

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

  What is missing counts as the mean. The strength, one for each target, is the
  best on the last tenth of the training pairs.
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


def _ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
  """Fits `[N, C]` -> `[N, D]`, and predicts for `[M, C]`."""
  x, new = _standardized(x, x), _standardized(new, x)
  y, shift = _filled(y)
  end = int(len(x) * (1 - _HELD_OUT))
  errors = [
    np.square(x[end:] @ _solve(x[:end], y[:end], strength) - y[end:])
    for strength in _STRENGTHS
  ]
  best = np.argmin([error.sum(axis=0) for error in errors], axis=0)  # `[D]`
  maps = np.stack([_solve(x, y, strength) for strength in _STRENGTHS])
  return new @ maps[best, :, np.arange(y.shape[1])].T + shift


def _standardized(values: np.ndarray, of: np.ndarray) -> np.ndarray:
  sd = np.nanstd(of, axis=0)
  scaled = (values - np.nanmean(of, axis=0)) / np.where(sd > 1e-12, sd, 1)
  return np.nan_to_num(scaled)


def _filled(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Subtracts the means, which missing values get; also returns the means."""
  means = np.nan_to_num(np.nanmean(y, axis=0))
  return np.nan_to_num(y - means), means


def _solve(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
  return np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y)


# {name: predicts the targets of the test pairs, given the training pairs}.
BASELINES: dict[str, Callable[[Pairs, Pairs], np.ndarray]] = {
  'mean of each node': mean,
  'linear, all nodes': linear,
  'linear, each node': linear_at_nodes,
}
