"""Evaluates a checkpoint of a run."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from semgcn_jax.data.datasets import load
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.baselines import BASELINES
from semgcn_jax.evaluation.regression import score_features
from semgcn_jax.evaluation.scores import make_score, score_predictions
from semgcn_jax.evaluation.tables import format_baselines, print_result
from semgcn_jax.models.build import count_parameters
from semgcn_jax.runs.networks import Network, restore_network


def evaluate(
  checkpoint: str | pathlib.Path,
  which: str = 'best',
  overrides: Mapping[str, Any] | None = None,
  *,
  averaged: bool = True,
  seed: int | None = None,
  beside: bool = False,
) -> dict[str, Any]:
  """Scores a checkpoint of a run, and prints the table.

  Args:
    checkpoint: The run folder, or the name of bundled weights.
    which: 'best', 'last' or the number of an epoch.
    overrides: Settings that replace those of the run's config.
    averaged: Whether to use the averaged weights, if the run has them.
    seed: The seed to score of a run that has several; None scores all.
    beside: Whether to score `baselines` beside it, fitted to the run's training
      pairs.

  Returns:
    The result of `scores.score_predictions`, with 'epoch' and 'num_params', and
    with 'baselines', {name: their results}.

  Raises:
    UserError: There is no run, no checkpoint, or no data.
    SettingError: The run has no such seed.

  Examples:
    >>> from semgcn_jax import evaluate
    >>> result = evaluate('runs/first')  # doctest: +ELLIPSIS
    epoch 1, errors in mm, PCK and AUC in percent:...
    >>> result['epoch'], result['p_mpjpe'] < result['mpjpe']
    (1, True)
  """
  network = restore_network(checkpoint, which, averaged=averaged)
  config = network.config.replace(**overrides or {})
  variables, num_seeds = network.variables, None
  if seed is not None:
    variables, num_seeds = network.of_seed(seed), 1
  skeleton, train = network.skeleton, None
  test = load(config.data, skeleton, train=False).test
  if config.calibrates:
    # The scale is that of the run's training poses, wherever the files are now.
    places = {n: config.flat()[n] for n in ('data_dir', 'image_dir')}
    own = network.config.replace(**places)
    train = load(own.data, skeleton).train
  score = make_score(config, skeleton, train, num_seeds=num_seeds)
  result = score(variables, test) | {
    'epoch': network.progress.epoch,
    'num_params': count_parameters(config.model, skeleton),
  }
  print_result(result, config)
  if beside:
    result['baselines'] = _score_baselines(network, test)
    print(format_baselines(result, config))
  return result


def _score_baselines(network: Network, test: Pairs) -> dict[str, Any]:
  """Scores `BASELINES` on the test pairs.

  Raises:
    SettingError: The run is of images, clips, or filmed poses.
  """
  config, skeleton = network.config, network.skeleton
  if config.takes not in ('frames', 'nodes') or config.model.input_joints:
    raise SettingError(
      '`baselines`: are for networks that take the 2D or the features of a'
      ' dataset'
    )
  train = load(config.data, skeleton).train
  assert train is not None
  results = {}
  for name, predict in BASELINES.items():
    predicted = predict(train, test).astype(np.float32)[None]
    if config.takes == 'nodes':
      results[name] = score_features(predicted, test)
    else:
      size = config.evaluation.eval_batch_size
      results[name] = score_predictions(
        predicted, test, skeleton, batch_size=size
      )
  return results
