"""Scores features at the nodes of a graph, by name, over what is known."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.tasks import make_task
from semgcn_jax.text_tables import plain_table


def _mse(predicted: np.ndarray, true: np.ndarray) -> float:
  return float(np.square(predicted - true).mean())


def _r2(predicted: np.ndarray, true: np.ndarray) -> float:
  """Computes R2; of targets that do not vary 1 if exact, else 0."""
  error, variance = _mse(predicted, true), float(true.var())
  return 1 - error / variance if variance else float(error == 0)


# Each maps predictions and targets, `[K]` float64, to a number.
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
  'rmse': lambda predicted, true: _mse(predicted, true) ** 0.5,
  'mse': _mse,
  'mae': lambda predicted, true: float(np.abs(predicted - true).mean()),
  'r2': _r2,
}
HEADINGS = {'rmse': 'RMSE', 'mse': 'MSE', 'mae': 'MAE', 'r2': 'R2'}


def score(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
  """Computes `METRICS` over the targets that are known.

  R2 is the mean of those of the features, whose units may differ.

  Args:
    predicted: The predictions, `[..., D]`.
    targets: The targets, `[..., D]`; NaN where unknown.
  """
  known = np.isfinite(targets)
  pairs = [
    (each[found].astype(float), true[found].astype(float))
    for each, true, found in zip(
      *(np.moveaxis(a, -1, 0) for a in (predicted, targets, known)), strict=True
    )
    if found.any()
  ]
  if not pairs:
    return dict.fromkeys(METRICS, float('nan'))
  whole = [np.concatenate(part) for part in zip(*pairs, strict=True)]
  result = {name: metric(*whole) for name, metric in METRICS.items()}
  result['r2'] = float(np.mean([_r2(*pair) for pair in pairs]))
  return result


def score_features(predicted: np.ndarray, pairs: Pairs) -> dict[str, Any]:
  """Scores the predictions of R seeds.

  Args:
    predicted: The predictions, `[R, N, J, D]`, in the units of the targets.
    pairs: The pairs with the targets, `[N, J, D]`.

  Returns:
    The mean of each of `METRICS` over the seeds; 'num_poses', the number of
    samples; 'features': {name of a feature: its metrics}; and, of several
    seeds, the standard deviations, `rmse_sd` and so on, and 'seeds'.
  """
  seeds = [score(each, pairs.targets) for each in predicted]
  result: dict[str, Any] = _mean(seeds)
  result['num_poses'] = len(pairs)
  result['features'] = {
    name: _mean(
      [score(each[..., [d]], pairs.targets[..., [d]]) for each in predicted]
    )
    for d, name in enumerate(pairs.action_names)
    if np.isfinite(pairs.targets[..., d]).any()
  }
  if len(seeds) > 1:
    for name in METRICS:
      values = [each[name] for each in seeds]
      result[f'{name}_sd'] = float(np.std(values, ddof=1))
    result['seeds'] = seeds
  return result


def _mean(scores: Sequence[dict[str, float]]) -> dict[str, float]:
  return {n: float(np.mean([each[n] for each in scores])) for n in METRICS}


def make_score(
  config: Config, graph: Graph, *, num_seeds: int | None = None
) -> Callable[[dict[str, Any], Pairs], dict[str, Any]]:
  """Builds the function that scores variables on pairs; see `scores`."""
  predict = make_task(config, graph).make_predict(
    num_seeds or config.training.num_seeds
  )
  batch_size = config.evaluation.eval_batch_size
  return lambda variables, pairs: score_features(
    predict(variables, pairs, batch_size), pairs
  )


def format_scores(result: dict[str, Any]) -> str:
  """Formats the scores as one line, such as 'RMSE 0.512  MAE 0.401'."""

  def cell(name):
    spread = f' ± {result[name + "_sd"]:.4g}' if name + '_sd' in result else ''
    return f'{HEADINGS[name]} {result[name]:.4g}{spread}'

  return '  '.join(map(cell, ('rmse', 'mae', 'r2')))


def format_table(result: dict[str, Any]) -> str:
  """Formats the result of `score_features` as a table, a line per feature."""
  rows = []

  def add(title, values, count=''):
    cells = [f'{values[name]:.4g}' for name in HEADINGS]
    rows.append([title, *cells, str(count)])

  if len(result['features']) > 1:
    for name, values in result['features'].items():
      add(name, values)
  add('all', result, result['num_poses'])
  if 'seeds' in result:
    spread = {name: result[f'{name}_sd'] for name in HEADINGS}
    add(f'± of {len(result["seeds"])} seeds', spread)
  return plain_table(['', *HEADINGS.values(), 'samples'], rows)
