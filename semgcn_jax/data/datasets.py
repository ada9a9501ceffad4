"""Loads the dataset that a config names, split into training and test pairs."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping

from semgcn_jax.config import DataConfig
from semgcn_jax.data import (
  cmu,
  custom,
  graphs,
  h36m,
  h36m_images,
  image_folder,
  rendered,
  synthetic,
)
from semgcn_jax.data.pairs import Pairs, Source, make_pairs
from semgcn_jax.data.plausible import check_2d, check_3d
from semgcn_jax.errors import SettingError, listed
from semgcn_jax.geometry.cameras import load_cameras
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.geometry.skeletons import H36M, Skeleton


@dataclasses.dataclass(frozen=True)
class Dataset:
  """The splits of a dataset, with targets in metres.

  Attributes:
    test: The pairs to score.
    train: The pairs to train on; None if not requested.
    val: The pairs that select the best epoch; None without validation subjects
      or, in an image folder, without such a split.
  """

  test: Pairs
  train: Pairs | None = None
  val: Pairs | None = None


@dataclasses.dataclass(frozen=True)
class Entry:
  """How to load a dataset.

  Attributes:
    load: Takes the arguments of the function `load`; returns {split: pairs}.
    read: Reads the pose files; None if there are none.
  """

  load: Callable[..., Mapping[str, Pairs]]
  read: Callable[[DataConfig], Source] | None = None


def load(
  config: DataConfig, skeleton: Skeleton | Graph, *, train: bool = True
) -> Dataset:
  """Loads the dataset that the config names.

  Args:
    config: The dataset, and which of its poses to take.
    skeleton: The skeleton of the dataset's poses, or the graph of its nodes.
    train: Whether to load the training and validation pairs too.

  Raises:
    SettingError: There is no such dataset, subject or action; or your own
      dataset has no split.
    UserError: A file is missing, damaged or wrong.
  """
  if isinstance(skeleton, Graph):
    return Dataset(**graphs.load(config, skeleton, train=train))
  return Dataset(**_entry(config).load(config, skeleton, train=train))


def read(config: DataConfig) -> Source:
  """Reads the files of the config's dataset.

  Raises:
    SettingError: There is no such dataset.
    UserError: A file is missing, damaged or wrong.
  """
  reader = _entry(config).read
  if reader is None:
    raise SettingError(
      f'`dataset={config.dataset}`: has images, but no files of poses; choose'
      ' another'
    )
  source = reader(config)
  if config.cameras:
    cameras = load_cameras(config.cameras)
    source = dataclasses.replace(source, cameras=cameras)
  if config.fps:
    source = dataclasses.replace(source, fps=config.fps)
  return source


def _entry(config: DataConfig) -> Entry:
  return DATASETS.get(config.dataset, _YOUR_OWN)


def _of_poses(
  read: Callable[[DataConfig], Source],
  attach: Callable[..., Pairs] | None = None,
) -> Entry:
  """Builds the entry of a dataset with pose files, which `read` reads.

  `attach` adds the images to the pairs of a split, if there are any.
  """
  return Entry(functools.partial(_load_poses, attach), read)


def _load_poses(
  attach: Callable[..., Pairs] | None,
  config: DataConfig,
  skeleton: Skeleton,
  *,
  train: bool,
) -> dict[str, Pairs]:
  """Reads a dataset's pose files and pairs 2D with 3D; see `load`."""
  if config.image_dir and attach is None:
    raise SettingError(
      f'`image_dir`: `dataset={config.dataset}` has no images; choose h36m or'
      ' images, or leave it out'
    )
  source = read(config)
  subjects = _split(config, source, skeleton, train=train)
  test_downsample = config.test_downsample or config.downsample
  splits = {
    name: make_pairs(
      source,
      skeleton,
      subjects=own,
      actions=config.actions,
      downsample=config.downsample if name == 'train' else test_downsample,
    )
    for name, own in subjects.items()
  }
  num_cut = sum(split.num_cut for split in splits.values())
  if num_cut:
    logging.getLogger('semgcn_jax').warning(
      '%s: %d views differ in length from their 2D; cut to the shorter',
      source.name,
      num_cut,
    )
  if attach is None or not config.image_dir:
    return splits
  return {
    name: attach(config, split, train=name == 'train')
    for name, split in splits.items()
  }


def _split(
  config: DataConfig, source: Source, skeleton: Skeleton, *, train: bool
) -> dict[str, tuple[str, ...]]:
  """Splits the subjects into {split: subjects}, and checks their poses.

  Raises:
    SettingError: There is no such subject, or no such split.
    UserError: The poses are wrong.
  """
  train_subjects = config.train_subjects or source.train_subjects
  test_subjects = config.test_subjects or source.test_subjects
  if not train_subjects or not test_subjects:
    raise SettingError(
      '`train_subjects`, `test_subjects`: give both, there is no standard split'
      f' of {source.name}; it has {listed(source.poses_3d)}'
    )
  for subject in config.val_subjects:
    if subject not in train_subjects:
      raise SettingError(
        f'`val_subjects`: {subject} is not a training subject; they are'
        f' {listed(train_subjects)}'
      )
  train_subjects = tuple(
    s for s in train_subjects if s not in config.val_subjects
  )
  if not train_subjects:
    raise SettingError('`val_subjects`: leave a subject to train on')
  used, splits = test_subjects, {'test': test_subjects}
  if train:
    used = (*train_subjects, *config.val_subjects, *test_subjects)
    splits['train'] = train_subjects
    if config.val_subjects:
      splits['val'] = config.val_subjects
  twice = sorted({subject for subject in used if used.count(subject) > 1})
  if twice:
    raise SettingError(
      f'`train_subjects`, `test_subjects`: {listed(twice)} twice; a subject is'
      ' either for training or for testing, once'
    )
  if skeleton == H36M:  # Others may be of any size.
    check_3d(source.poses_3d, source.name, used)
  if source.poses_2d is not None:
    check_2d(source.poses_2d, source.name, used)
  return splits


# Add a new dataset here, and its name in `config.data`.
DATASETS = {
  'synthetic': _of_poses(synthetic.read),
  'h36m': _of_poses(h36m.read, h36m_images.attach),
  'cmu': _of_poses(cmu.read),
  'rendered': Entry(rendered.read),
  'images': Entry(image_folder.read),
}
_YOUR_OWN = _of_poses(custom.read)
