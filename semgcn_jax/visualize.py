"""Figures."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from semgcn_jax.config import Config
from semgcn_jax.evaluate import rank
from semgcn_jax.files import replacing
from semgcn_jax.skeleton import H36M, Skeleton


def plot_curves(
  records: Sequence[dict[str, Any]], path: pathlib.Path, *, config: Config
) -> None:
  """Draws training loss and errors of every epoch; a dot marks the best one.

  Args:
    records: the lines of metrics.jsonl.
    path: the PNG to write.
    config: of the run.
  """
  figure = _figure(9, 3.6)
  left, right = figure.subplots(1, 2)
  epochs = [record['epoch'] for record in records]
  style = {'marker': '.' if len(epochs) < 40 else '', 'linewidth': 1.5}
  loss = [record['train_loss'] for record in records]
  left.plot(epochs, loss, color='tab:gray', **style)
  left.set(yscale='log', ylabel=_loss_label(config), xlabel='epoch')
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
    _tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
  _save(figure, path)


def plot_comparison(
  curves: dict[str, dict[str, Sequence[float]]],
  path: pathlib.Path,
  *,
  config: Config,
) -> None:
  """Draws training loss and test error of several methods (paper Fig. 4).

  Args:
    curves: {method: {'train_loss', 'mpjpe' (mm), 'mpjpe_sd': one an epoch}}.
    path: the PNG to write.
    config: of the runs.
  """
  figure = _figure(10, 4)
  left, right = figure.subplots(1, 2)
  for name, curve in curves.items():
    epochs = np.arange(1, len(curve['mpjpe']) + 1)
    left.plot(epochs, curve['train_loss'], label=name)
    errors, spread = np.array(curve['mpjpe']), np.array(curve['mpjpe_sd'])
    right.plot(epochs, errors, label=f'{name}: {errors[-1]:.1f}')
    right.fill_between(
      epochs, errors - spread, errors + spread, alpha=0.2, linewidth=0
    )
  left.set(yscale='log', ylabel=_loss_label(config), xlabel='epoch')
  right.set(yscale='log', ylabel='test MPJPE (mm)', xlabel='epoch')
  right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
  right.yaxis.set_major_formatter('{x:.0f}')
  right.yaxis.set_minor_locator(NullLocator())
  right.legend(frameon=False, fontsize='small')
  for axes in (left, right):
    _tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
  _save(figure, path)


def plot_parameters(
  rows: dict[str, dict[str, Any]], path: pathlib.Path
) -> None:
  """Draws the error of each method against its number of parameters.

  Args:
    rows: {method: {'num_params', 'mpjpe', 'mpjpe_sd' (mm)}}.
    path: the PNG to write.
  """
  figure = _figure(8, 4.5)
  axes = figure.subplots()
  markers = itertools.cycle('osD^v')
  for name, row in rows.items():
    label = f'{name}: {row["mpjpe"]:.1f}'
    axes.errorbar(
      *(row['num_params'] / 1e6, row['mpjpe'], row['mpjpe_sd']),
      **{'fmt': next(markers), 'capsize': 3, 'label': label},
    )
  axes.set(
    **{'xscale': 'log', 'xlabel': 'parameters (millions)'},
    **{'ylabel': 'test MPJPE (mm)', 'ylim': (0, None)},
  )
  axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
  axes.xaxis.set_major_formatter('{x:g}')
  axes.xaxis.set_minor_locator(NullLocator())
  figure.legend(loc='outside right upper', frameon=False, fontsize='small')
  _tidy(axes)
  _save(figure, path)


def plot_adjacencies(
  adjacencies: dict[str, np.ndarray], path: pathlib.Path, *, skeleton: Skeleton
) -> None:
  """Draws learned adjacencies as heat maps (paper Fig. 7).

  Args:
    adjacencies: {layer: `[J, J]`}; zeros are left white.
    path: the PNG to write.
    skeleton: names the joints.
  """
  columns = min(len(adjacencies), 5)
  rows = -(-len(adjacencies) // columns)
  size = max(2.4, 0.19 * skeleton.num_joints)
  figure = _figure(size * columns + 1.5, size * rows + 1)
  grid = figure.subplots(rows, columns, squeeze=False)
  highest = max(adjacency.max() for adjacency in adjacencies.values())
  places = np.arange(skeleton.num_joints)
  for number, (axes, (layer, adjacency)) in enumerate(
    zip(grid.flat, adjacencies.items(), strict=False)
  ):
    shown = np.ma.masked_equal(adjacency, 0)
    image = axes.imshow(shown, vmin=0, vmax=highest, cmap='viridis')
    axes.set_title(layer, fontsize='small')
    below = number + columns >= len(adjacencies)
    names = skeleton.joints if below else []
    axes.set_xticks(places, names or [''] * len(places), rotation=90)
    first = number % columns == 0
    axes.set_yticks(places, skeleton.joints if first else [''] * len(places))
    axes.tick_params(labelsize='x-small', length=2)
  for axes in grid.flat[len(adjacencies) :]:
    axes.set_axis_off()
  figure.colorbar(image, ax=grid, label='weight of the column for the row')
  _save(figure, path)


def plot_joint_weights(
  weights: np.ndarray, path: pathlib.Path, *, skeleton: Skeleton
) -> None:
  """Draws the weight of each joint on the skeleton (paper Fig. 8).

  Args:
    weights: `[J]`.
    path: the PNG to write.
    skeleton: of J joints.
  """
  figure = _figure(6, 6)
  axes = figure.subplots()
  places = joint_places(skeleton)
  for bone in skeleton.bones:
    axes.plot(*places[list(bone)].T, color='tab:gray', linewidth=3, zorder=1)
  points = axes.scatter(
    *places.T, s=1100, c=weights, cmap='viridis', zorder=2, edgecolors='white'
  )
  middle = (weights.min() + weights.max()) / 2
  for name, place, weight in zip(skeleton.joints, places, weights, strict=True):
    color = 'black' if weight > middle else 'white'
    axes.annotate(f'{weight:.2f}', place, ha='center', va='center', color=color)
    axes.annotate(
      name,
      place,
      xytext=(0, -28),
      textcoords='offset points',
      ha='center',
      fontsize='small',
      bbox={'color': 'white', 'alpha': 0.8, 'pad': 1},
    )
  axes.set_aspect('equal')
  axes.margins(0.12)
  axes.set_axis_off()
  figure.colorbar(
    points, ax=axes, label='weight for itself, mean of the layers', shrink=0.7
  )
  _save(figure, path)


# Of Human3.6M's joints, a person seen from the front.
_H36M_PLACES = {
  'Pelvis': (0, 0),
  'RHip': (-0.9, -0.3),
  'RKnee': (-1.0, -1.9),
  'RAnkle': (-1.1, -3.5),
  'Spine': (0, 1.2),
  'Thorax': (0, 2.4),
  'Head': (0, 3.7),
  'RShoulder': (-1.2, 2.2),
  'RElbow': (-2.3, 1.3),
  'RWrist': (-3.2, 0.2),
}


def joint_places(skeleton: Skeleton) -> np.ndarray:
  """Where to draw the joints, `[J, 2]`.

  A person for Human3.6M's skeleton; of any other a tree around its root.
  """
  if skeleton.joints == H36M.joints:
    places = _H36M_PLACES | {
      'L' + name[1:]: (-x, y)
      for name, (x, y) in _H36M_PLACES.items()
      if name[0] == 'R'
    }
    return np.array([places[name] for name in skeleton.joints], float)
  children = [[] for _ in skeleton.joints]
  for parent, child in skeleton.bones:
    children[parent].append(child)
  places = np.zeros((skeleton.num_joints, 2))

  def leaves(joint):
    return sum(map(leaves, children[joint])) or 1

  def place(joint, radius, start, end):
    """Puts a joint, and what hangs on it between two angles."""
    angle = (start + end) / 2
    places[joint] = radius * np.cos(angle), radius * np.sin(angle)
    share = (end - start) / leaves(joint)
    for child in children[joint]:
      end = start + share * leaves(child)
      place(child, radius + 1, start, end)
      start = end

  place(skeleton.root, 0, 0, 2 * np.pi)
  return places


def _figure(width: float, height: float) -> Figure:
  """An empty figure, in inches."""
  figure = Figure(figsize=(width, height), layout='constrained')
  FigureCanvasAgg(figure)
  return figure


def _loss_label(config: Config) -> str:
  unit = 'm²' if config.loss.startswith('joints') else 'm'
  return f'training loss ({unit})'


def _tidy(axes: Axes) -> None:
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)


def _save(figure: Figure, path: pathlib.Path) -> None:
  with replacing(path) as temporary:
    figure.savefig(temporary, format='png', dpi=120)
