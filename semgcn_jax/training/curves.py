"""Plots of training curves and of comparisons between methods."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.config.training import NODE_LOSSES
from semgcn_jax.evaluation.scores import rank
from semgcn_jax.figures.style import new_figure, save, tidy


def plot_curves(
  records: Sequence[dict[str, Any]], path: pathlib.Path, *, config: Config
) -> None:
  """Plots training loss and errors per epoch; a dot marks the best epoch.

  Args:
    records: The lines of metrics.jsonl.
    path: The PNG file to write.
    config: The config of the run.
  """
  figure = new_figure(9, 3.6)
  left, right = figure.subplots(1, 2)
  epochs = [record['epoch'] for record in records]
  style = {'marker': '.' if len(epochs) < 40 else '', 'linewidth': 1.5}
  loss = [record['train_loss'] for record in records]
  left.plot(epochs, loss, color='tab:gray', **style)
  left.set(yscale='log', ylabel=_loss_label(config.training), xlabel='epoch')
  ranks = [
    rank(record, config.evaluation.choose_on, config.scored_by)
    for record in records
  ]
  best = ranks.index(min(ranks))
  curves, digits, unit = {'mpjpe': 'MPJPE', 'p_mpjpe': 'P-MPJPE'}, 1, 'mm'
  if config.data.val_subjects:
    curves['val_mpjpe'] = f'MPJPE of {", ".join(config.data.val_subjects)}'
  if config.takes == 'nodes':
    curves, digits, unit = {'rmse': 'RMSE', 'mae': 'MAE'}, 3, 'unit of the data'
    if 'val_rmse' in records[0]:
      curves['val_rmse'] = 'RMSE of the validation split'
  for name, label in curves.items():
    errors = [record[name] for record in records]
    (curve,) = right.plot(epochs, errors, label=label, **style)
    if f'{name}_sd' in records[0]:
      _shade(right, epochs, errors, [r[f'{name}_sd'] for r in records])
    right.plot(epochs[best], errors[best], 'o', color=curve.get_color())
    right.annotate(
      f'{errors[best]:.{digits}f}',
      (epochs[best], errors[best]),
      xytext=(0, 7 if name.startswith('val') else -13),
      textcoords='offset points',
      ha='center',
      color=curve.get_color(),
    )
  right.set(ylabel=f'test error ({unit})', xlabel='epoch', ylim=(0, None))
  right.legend(frameon=False)
  _save_epochs(figure, path)


def plot_comparison(
  curves: dict[str, dict[str, Sequence[float]]],
  path: pathlib.Path,
  *,
  config: TrainingConfig,
) -> None:
  """Plots training loss and test error of several methods (paper Fig. 4).

  Args:
    curves: {method: {'train_loss', 'mpjpe', 'mpjpe_sd'}}, a value per epoch
      each; errors in mm.
    path: The PNG file to write.
    config: The training settings of the runs.
  """
  figure = new_figure(10, 4)
  left, right = figure.subplots(1, 2)
  for name, curve in curves.items():
    epochs = np.arange(1, len(curve['mpjpe']) + 1)
    left.plot(epochs, curve['train_loss'], label=name)
    errors = curve['mpjpe']
    right.plot(epochs, errors, label=f'{name}: {errors[-1]:.1f}')
    _shade(right, epochs, errors, curve['mpjpe_sd'])
  left.set(yscale='log', ylabel=_loss_label(config), xlabel='epoch')
  right.set(yscale='log', ylabel='test MPJPE (mm)', xlabel='epoch')
  right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
  right.yaxis.set_major_formatter('{x:.0f}')
  right.yaxis.set_minor_locator(NullLocator())
  right.legend(frameon=False, fontsize='small')
  _save_epochs(figure, path)


def _shade(axes: Axes, epochs: Any, errors: Any, spread: Any) -> None:
  """Shades the standard deviation around a curve."""
  errors, spread = np.array(errors), np.array(spread)
  axes.fill_between(
    epochs, errors - spread, errors + spread, alpha=0.2, linewidth=0
  )


def _save_epochs(figure: Figure, path: pathlib.Path) -> None:
  """Writes a figure whose x axes count epochs."""
  for axes in figure.axes:
    tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
  save(figure, path)


def plot_parameters(
  rows: dict[str, dict[str, Any]], path: pathlib.Path
) -> None:
  """Plots the error of each method against its number of parameters.

  Args:
    rows: {method: {'num_params', 'mpjpe', 'mpjpe_sd'}}; errors in mm.
    path: The PNG file to write.
  """
  figure = new_figure(8, 4.5)
  axes = figure.subplots()
  markers = itertools.cycle('osD^v')
  for name, row in rows.items():
    label = f'{name}: {row["mpjpe"]:.1f}'
    style = {'fmt': next(markers), 'capsize': 3, 'label': label}
    size, error, spread = row['num_params'] / 1e6, row['mpjpe'], row['mpjpe_sd']
    axes.errorbar(size, error, spread, **style)
  axes.set(xscale='log', xlabel='parameters (millions)')
  axes.set(ylabel='test MPJPE (mm)', ylim=(0, None))
  axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
  axes.xaxis.set_major_formatter('{x:g}')
  axes.xaxis.set_minor_locator(NullLocator())
  figure.legend(loc='outside right upper', frameon=False, fontsize='small')
  tidy(axes)
  save(figure, path)


def _loss_label(config: TrainingConfig) -> str:
  if config.loss in NODE_LOSSES:
    return f'training loss ({config.loss.upper()}, standardized)'
  unit = 'm²' if config.loss.startswith('joints') else 'm'
  return f'training loss ({unit})'
