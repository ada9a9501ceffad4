"""Drawings of poses: the 2D input beside the predicted and the true 3D."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from semgcn_jax.data.datasets import load
from semgcn_jax.errors import SettingError
from semgcn_jax.figures.style import new_figure, save
from semgcn_jax.filming.film import film_pairs
from semgcn_jax.lifting.predictor import make_predictor
from semgcn_jax.runs.checkpoints import restore_network
from semgcn_jax.skeleton import Skeleton

MOST_POSES = 5  # How many poses a figure of a run shows.
# Colours that colour-blind people tell apart.
_LEFT, _RIGHT, _MIDDLE, _TRUTH = '#0072b2', '#d55e00', '#333333', '#bbbbbb'
# The pose is also shown from here: degrees about the vertical.
_TURN = 60


def draw_run(
  checkpoint: str | pathlib.Path,
  which: str,
  path: pathlib.Path,
  overrides: dict[str, Any],
  *,
  averaged: bool = True,
  seed: int | None = None,
) -> None:
  """Draws the test pose of median error of a few actions.

  Args:
    checkpoint: The folder of the run, or the name of weights in the box.
    which: 'best', 'last' or the number of an epoch.
    path: The PNG `figure` to write.
    overrides: Settings that replace those of the run's config.
    averaged: Whether to take the averaged weights, if the run has some.
    seed: The seed to take, of a run with several; None takes the first.

  Raises:
    UserError: There is no run, no checkpoint, or no data; or predictions of the
      run have no scale of their own.
    SettingError: There is no such seed, or the file cannot be written.
  """
  network = restore_network(checkpoint, which, averaged=averaged)
  config, skeleton = network.config.replace(**overrides), network.skeleton
  test = load(config.data, skeleton, train=False).test
  if config.model.input_joints:
    test = film_pairs(test, skeleton, config.model, config.filming)
  variables = network.of_seed(seed)
  predictor = make_predictor(config, skeleton, variables, batch_sizes=(256,))
  predicted = predictor(test.inputs)
  errors = 1000 * np.linalg.norm(predicted - test.targets, axis=-1).mean(axis=1)
  actions = np.linspace(0, len(test.action_names) - 1, MOST_POSES)
  rows, titles = [], []
  for action in sorted(set(actions.round().astype(int))):
    own = np.flatnonzero(test.actions == action)
    row = own[np.argsort(errors[own])[len(own) // 2]]
    rows.append(row)
    titles.append(f'{test.action_names[action]}, {errors[row]:.0f} mm')
  try:
    plot_poses(
      test.inputs[rows],
      predicted[rows],
      test.targets[rows],
      path,
      titles=titles,
      skeleton=skeleton,
    )
  except OSError as error:
    raise SettingError(f'`figure={path}`: {error.strerror}') from error


def plot_poses(
  inputs: np.ndarray,
  predicted: np.ndarray,
  targets: np.ndarray,
  path: pathlib.Path,
  *,
  titles: Sequence[str],
  skeleton: Skeleton,
) -> None:
  """Draws poses side by side: 2D, and 3D from the camera and from the side.

  Args:
    inputs: `[K, J, 2]`, normalised screen.
    predicted: `[K, J, 3]`, metres, the root at the origin.
    targets: `[K, J, 3]`, the same of the truth, drawn behind in grey.
    path: The PNG to write.
    titles: What to write above each pose.
    skeleton: The skeleton of these J joints.
  """
  count = len(inputs)
  figure = new_figure(2.2 * count + 0.5, 6.6)
  grid = figure.subplots(3, count, squeeze=False)
  rows = {
    '2D input': [(pose, None) for pose in inputs],
    '3D, from the camera': [
      (pose[:, :2], truth[:, :2])
      for pose, truth in zip(predicted, targets, strict=True)
    ],
    f'3D, turned by {_TURN}°': [
      (_turned(pose), _turned(truth))
      for pose, truth in zip(predicted, targets, strict=True)
    ],
  }
  for axes_row, (label, poses) in zip(grid, rows.items(), strict=True):
    for axes, (pose, truth) in zip(axes_row, poses, strict=True):
      if truth is not None:
        _draw(axes, truth, skeleton, truth=True)
      _draw(axes, pose, skeleton, truth=False)
      axes.set_aspect('equal', adjustable='datalim')
      axes.invert_yaxis()  # Downwards, as in images and camera frames.
      axes.set(xticks=[], yticks=[])
      axes.spines[:].set_visible(False)
    axes_row[0].set_ylabel(label)
  for axes, title in zip(grid[0], titles, strict=True):
    axes.set_title(title, fontsize='medium')
  for color, label in (
    *((_LEFT, 'left'), (_RIGHT, 'right'), (_MIDDLE, 'trunk')),
    (_TRUTH, 'true pose'),
  ):
    grid[0, 0].plot([], [], color=color, linewidth=3, label=label)
  figure.legend(loc='outside lower center', ncols=4, frameon=False)
  save(figure, path)


def _turned(pose: np.ndarray) -> np.ndarray:
  """Turns a pose `[J, 3]` about the camera's y axis; gives its x and y."""
  angle = np.deg2rad(_TURN)
  x, y, z = pose.T
  return np.stack([np.cos(angle) * x + np.sin(angle) * z, y], axis=-1)


def _draw(
  axes: Any, pose: np.ndarray, skeleton: Skeleton, *, truth: bool
) -> None:
  """Draws the bones of a pose `[J, 2]`."""
  for parent, child in skeleton.bones:
    color = _LEFT if child in skeleton.left else _MIDDLE
    color = _RIGHT if child in skeleton.right else color
    axes.plot(
      *pose[[parent, child]].T,
      color=_TRUTH if truth else color,
      linewidth=6 if truth else 2.5,
      solid_capstyle='round',
      zorder=1 if truth else 2,
    )
