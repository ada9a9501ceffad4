"""Plots of learned graphs: adjacencies, and the weights of the joints."""

import pathlib

import numpy as np

from semgcn_jax.figures.style import new_figure, save
from semgcn_jax.geometry.skeletons import H36M, Skeleton


def plot_adjacencies(
  adjacencies: dict[str, np.ndarray], path: pathlib.Path, *, skeleton: Skeleton
) -> None:
  """Plots learned adjacencies as heat maps (paper Fig. 7).

  Args:
    adjacencies: The adjacency of each layer, `[J, J]`; zeros are left white.
    path: The PNG file to write.
    skeleton: The skeleton of these J joints.
  """
  columns = min(len(adjacencies), 5)
  rows = -(-len(adjacencies) // columns)
  size = max(2.4, 0.19 * skeleton.num_joints)
  figure = new_figure(size * columns + 1.5, size * rows + 1)
  grid = figure.subplots(rows, columns, squeeze=False)
  highest = max(adjacency.max() for adjacency in adjacencies.values())
  places = np.arange(skeleton.num_joints)
  blank = [''] * len(places)
  for number, (layer, adjacency) in enumerate(adjacencies.items()):
    axes = grid.flat[number]
    shown = np.ma.masked_equal(adjacency, 0)
    image = axes.imshow(shown, vmin=0, vmax=highest, cmap='viridis')
    axes.set_title(layer, fontsize='small')
    is_last = number + columns >= len(adjacencies)
    axes.set_xticks(places, skeleton.joints if is_last else blank, rotation=90)
    is_first = number % columns == 0
    axes.set_yticks(places, skeleton.joints if is_first else blank)
    axes.tick_params(labelsize='x-small', length=2)
  for axes in grid.flat[len(adjacencies) :]:
    axes.set_axis_off()
  figure.colorbar(image, ax=grid, label='weight of the column for the row')
  save(figure, path)


def plot_joint_weights(
  weights: np.ndarray, path: pathlib.Path, *, skeleton: Skeleton
) -> None:
  """Plots the weight of each joint on the skeleton (paper Fig. 8).

  Args:
    weights: The weights, `[J]`.
    path: The PNG file to write.
    skeleton: The skeleton of these J joints.
  """
  figure = new_figure(6, 6)
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
  save(figure, path)


# The positions (x, y) of Human3.6M's joints, seen from the front; the left side
# mirrors the right one.
_TRUNK = {'Pelvis': (0, 0), 'Spine': (0, 1.2), 'Thorax': (0, 2.4)}
_LEG = {'RHip': (-0.9, -0.3), 'RKnee': (-1.0, -1.9), 'RAnkle': (-1.1, -3.5)}
_ARM = {'RShoulder': (-1.2, 2.2), 'RElbow': (-2.3, 1.3), 'RWrist': (-3.2, 0.2)}
_H36M_PLACES = _TRUNK | {'Head': (0, 3.7)} | _LEG | _ARM


def joint_places(skeleton: Skeleton) -> np.ndarray:
  """Lays out the joints for plots, `[J, 2]`.

  Human3.6M's skeleton is drawn as a person, any other as a radial tree.
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
    """Places a joint and its descendants between two angles."""
    angle = (start + end) / 2
    places[joint] = radius * np.cos(angle), radius * np.sin(angle)
    share = (end - start) / leaves(joint)
    for child in children[joint]:
      end = start + share * leaves(child)
      place(child, radius + 1, start, end)
      start = end

  place(skeleton.root, 0, 0, 2 * np.pi)
  return places
