"""Loads the dataset that a config names, split into training and test pairs."""

import dataclasses
import logging
from collections.abc import Sequence

from semgcn_jax.config import DataConfig
from semgcn_jax.data import (
  cmu,
  custom,
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
from semgcn_jax.geometry.skeletons import Skeleton

RENDERED = 'rendered'  # The dataset that is drawn, with pictures.
DATASETS = {'synthetic': synthetic.read, 'h36m': h36m.read, 'cmu': cmu.read}


@dataclasses.dataclass(frozen=True)
class Dataset:
  """The splits of a dataset, with targets in metres.

  Attributes:
    test: The pairs that are scored.
    train: The pairs to train on; None if they were not asked for.
    val: The pairs that can choose the best epoch; None if no subjects are kept
      aside for that, nor has a folder of pictures such a split.
  """

  test: Pairs
  train: Pairs | None = None
  val: Pairs | None = None


def read(config: DataConfig) -> Source:
  """Reads the files of the config's dataset.

  Raises:
    SettingError: There is no such dataset.
    UserError: A file is missing, damaged or wrong.
  """
  if config.dataset == RENDERED:
    raise SettingError(
      f'`dataset={RENDERED}`: has pictures, but no files of poses; choose'
      ' another'
    )
  source = DATASETS.get(config.dataset, custom.read)(config)
  if config.cameras:
    cameras = load_cameras(config.cameras)
    source = dataclasses.replace(source, cameras=cameras)
  if config.fps:
    source = dataclasses.replace(source, fps=config.fps)
  return source


def load(
  config: DataConfig, skeleton: Skeleton, *, train: bool = True
) -> Dataset:
  """Reads or makes the dataset that the config names.

  Args:
    config: Names the dataset, and says which of its poses to take.
    skeleton: The skeleton of the dataset's poses.
    train: Whether to make the training and validation pairs too.

  Raises:
    SettingError: There is no such dataset, subject or action; or a dataset of
      your own has no split.
    UserError: A file is missing, damaged or wrong.
  """
  if config.dataset == RENDERED:
    test, train_pairs = rendered.read(config, skeleton, train=train)
    return Dataset(test=test, train=train_pairs)
  if config.dataset == 'images':
    return Dataset(**image_folder.read(config, skeleton, train=train))
  if config.image_dir and config.dataset != 'h36m':
    raise SettingError(
      f'`image_dir`: `dataset={config.dataset}` has no pictures; choose h36m or'
      ' images, or leave it out'
    )
  source = read(config)
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
  used = test_subjects
  if train:
    used = (*train_subjects, *config.val_subjects, *test_subjects)
  twice = sorted({subject for subject in used if used.count(subject) > 1})
  if twice:
    raise SettingError(
      f'`train_subjects`, `test_subjects`: {listed(twice)} twice; a subject is'
      ' either for training or for testing, once'
    )
  check_3d(source.poses_3d, source.name, used)
  if source.poses_2d is not None:
    check_2d(source.poses_2d, source.name, used)

  def pairs(subjects: Sequence[str], downsample: int) -> Pairs:
    return make_pairs(
      source,
      skeleton,
      subjects=subjects,
      actions=config.actions,
      downsample=downsample,
    )

  test_downsample = config.test_downsample or config.downsample
  splits = {'test': pairs(test_subjects, test_downsample)}
  if train:
    splits['train'] = pairs(train_subjects, config.downsample)
    if config.val_subjects:
      splits['val'] = pairs(config.val_subjects, test_downsample)
  num_cut = sum(split.num_cut for split in splits.values())
  if num_cut:
    logging.getLogger('semgcn_jax').warning(
      '%s: %d views differ in length from their 2D; cut to the shorter',
      source.name,
      num_cut,
    )
  if config.image_dir:
    splits = {
      name: h36m_images.attach(config, split, train=name == 'train')
      for name, split in splits.items()
    }
  return Dataset(**splits)
