"""Predicts the test poses of a run as clips, to look at them."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from semgcn_jax.data.datasets import load
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import UserError
from semgcn_jax.inference.image_lifter import ImageLifter
from semgcn_jax.pictures.videos import Album
from semgcn_jax.runs.networks import restore_network
from semgcn_jax.tasks import make_task

_NO_IMAGE = (1000, 1000)  # The image size of networks that know no pixels.
_FPS = 10.0
_BATCH = 256
_MOST_IMAGES = 200  # More would not fit into a page.


def predict_clips(
  checkpoint: str | pathlib.Path,
  which: str,
  overrides: dict[str, Any],
  *,
  averaged: bool = True,
  seed: int | None = None,
) -> list[Clip]:
  """Predicts the test poses of a run: one clip for each view, or each image.

  See `evaluation.evaluate.evaluate` for the arguments; without a seed, it takes
  the first.

  Raises:
    UserError: There is no run, no checkpoint, or no data; or predictions of the
      run have no metric scale.
    SettingError: There is no such seed.
  """
  network = restore_network(checkpoint, which, averaged=averaged)
  if network.config.takes == 'nodes':
    raise UserError(
      f'{checkpoint}: predicts features of a graph, so there are no poses to'
      ' draw'
    )
  config, skeleton = network.config.replace(**overrides), network.skeleton
  network = dataclasses.replace(network, config=config)
  test = load(config.data, skeleton, train=False).test
  if config.takes == 'pictures':
    return _predict_images(ImageLifter.of(network, seed), test)
  task = make_task(config, skeleton)
  test, is_filmed = task.to_score(test), task.is_filmed
  [predicted] = task.make_predict()(network.of_seed(seed), test, _BATCH)
  predicted = predicted[..., :3]
  clips, counts = [], {}
  for rows in _clips(test):
    action = test.action_names[test.actions[rows[0]]]
    counts[action] = counts.get(action, 0) + 1
    name = f'{action} {counts[action]}'
    pitch, camera = None, test.camera_list[test.cameras[rows[0]]]
    if is_filmed:
      # The 2D may be scaled to the person; a channel marks what was found.
      inputs = test.inputs[rows]
      size, pixels = _NO_IMAGE, _on_screen(inputs[..., :2] / 3, *_NO_IMAGE)
      found = inputs[..., 2] > 0
    else:
      size, found, pitch = (camera.width, camera.height), 1, camera.pitch
      pixels = _on_screen(test.inputs[rows], *size)
    keypoints = np.insert(pixels, 2, found, axis=-1)
    shown = keypoints, predicted[rows], test.targets[rows]
    clips.append(_clip(name, *shown, size, skeleton=skeleton, pitch=pitch))
  return clips


def _predict_images(lifter: ImageLifter, test: Pairs) -> list[Clip]:
  """Predicts evenly chosen images, and returns each as a clip."""
  rows = np.linspace(0, len(test) - 1, min(len(test), _MOST_IMAGES)).astype(int)
  images = test.images[rows]
  poses, joints = lifter(images)
  size = lifter.size, lifter.size
  keypoints = np.insert(_on_screen(joints, *size), 2, 1, axis=-1)
  return [
    _clip(
      f'{test.action_names[test.actions[row]]} {row + 1}',
      keypoints[number, None],
      poses[number, None],
      test.targets[row, None],
      size,
      skeleton=lifter.skeleton,
      pictures=Album.of(images[number], longest=lifter.size),
    )
    for number, row in enumerate(rows)
  ]


def _clip(
  name: str,
  keypoints: np.ndarray,
  poses: np.ndarray,
  truth: np.ndarray,
  image_size: tuple[int, int],
  **known: Any,
) -> Clip:
  """Builds a clip of one person in consecutive frames."""
  person = Person('1', np.arange(len(poses)), keypoints, poses, truth=truth)
  return Clip(name, (person,), _FPS, image_size, **known)


def _clips(pairs: Pairs) -> list[np.ndarray]:
  """Splits the rows of pairs where the clip or the camera changes."""
  cut_by = [pairs.actions, pairs.cameras]
  keys = cut_by if pairs.views is None else [pairs.views]
  changes = np.flatnonzero((np.diff(np.stack(keys)) != 0).any(axis=0)) + 1
  return np.split(np.arange(len(pairs)), changes)


def _on_screen(inputs: np.ndarray, width: int, height: int) -> np.ndarray:
  """Converts normalized coordinates, `[T, J, C]`, to pixels, `[T, J, 2]`."""
  return (inputs[..., :2] + (1, height / width)) * width / 2
