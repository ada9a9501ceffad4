"""Figures."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from semgcn_jax.config import Config
from semgcn_jax.evaluate import rank


def plot_curves(
  records: Sequence[dict[str, Any]], path: pathlib.Path, *, config: Config
) -> None:
  """Draws training loss and errors of every epoch; a dot marks the best one.

  Args:
    records: the lines of metrics.jsonl.
    path: the PNG to write, under a temporary name first.
    config: of the run.
  """
  figure = Figure(figsize=(9, 3.6), layout='constrained')
  FigureCanvasAgg(figure)
  left, right = figure.subplots(1, 2)
  epochs = [record['epoch'] for record in records]
  style = {'marker': '.' if len(epochs) < 40 else '', 'linewidth': 1.5}
  loss = [record['train_loss'] for record in records]
  left.plot(epochs, loss, color='tab:gray', **style)
  unit = 'm²' if config.loss.startswith('joints') else 'm'
  left.set(yscale='log', ylabel=f'training loss ({unit})', xlabel='epoch')
  ranks = [rank(record, config.choose_on) for record in records]
  best = ranks.index(min(ranks))
  curves = {'mpjpe': 'MPJPE', 'p_mpjpe': 'P-MPJPE'}
  if config.val_subjects:
    curves['val_mpjpe'] = f'MPJPE of {", ".join(config.val_subjects)}'
  for name, label in curves.items():
    errors = [record[name] for record in records]
    (curve,) = right.plot(epochs, errors, label=label, **style)
    if f'{name}_sd' in records[0]:
      spread = np.array([record[f'{name}_sd'] for record in records])
      right.fill_between(
        epochs, errors - spread, errors + spread, alpha=0.2, linewidth=0
      )
    right.plot(epochs[best], errors[best], 'o', color=curve.get_color())
    right.annotate(
      f'{errors[best]:.1f}',
      (epochs[best], errors[best]),
      xytext=(0, 7 if name == 'val_mpjpe' else -13),
      textcoords='offset points',
      ha='center',
      color=curve.get_color(),
    )
  right.set(ylabel='test error (mm)', xlabel='epoch', ylim=(0, None))
  right.legend(frameon=False)
  for axes in (left, right):
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
  temporary = path.with_suffix('.tmp')
  figure.savefig(temporary, format='png', dpi=120)
  temporary.replace(path)
