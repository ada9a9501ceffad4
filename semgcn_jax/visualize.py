"""Figures."""

import pathlib
from collections.abc import Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def plot_curves(records: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
  """Draws training loss and test error of every epoch.

  Args:
    records: the lines of metrics.jsonl.
    path: the PNG to write, under a temporary name first.
  """
  figure = Figure(figsize=(9, 3.6), layout='constrained')
  FigureCanvasAgg(figure)
  left, right = figure.subplots(1, 2)
  epochs = [record['epoch'] for record in records]
  style = {'marker': '.' if len(epochs) < 40 else '', 'linewidth': 1.5}
  loss = [record['train_loss'] for record in records]
  left.plot(epochs, loss, color='tab:gray', **style)
  left.set(yscale='log', ylabel='training loss (m²)', xlabel='epoch')
  for name, label in (('mpjpe', 'MPJPE'), ('p_mpjpe', 'P-MPJPE')):
    errors = [record[name] for record in records]
    (curve,) = right.plot(epochs, errors, label=label, **style)
    best = min(range(len(errors)), key=errors.__getitem__)
    right.plot(epochs[best], errors[best], 'o', color=curve.get_color())
    right.annotate(
      f'{errors[best]:.1f}',
      (epochs[best], errors[best]),
      xytext=(0, -13),
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
