"""What all figures share: size, axes, and writing."""

import pathlib

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from semgcn_jax.files import replacing

DPI = 120  # Of image files.


def new_figure(width: float, height: float) -> Figure:
  """Creates an empty figure of this size in inches."""
  figure = Figure(figsize=(width, height), layout='constrained')
  FigureCanvasAgg(figure)
  return figure


def tidy(axes: Axes) -> None:
  """Draws a faint grid, and hides the top and right spines."""
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)


def save(figure: Figure, path: pathlib.Path) -> None:
  """Writes a figure as PNG, atomically; see `files.replacing`."""
  with replacing(path) as temporary:
    figure.savefig(temporary, format='png', dpi=DPI)
