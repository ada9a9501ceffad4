"""Datasets: flags in, arrays of 2D-3D pairs out."""

import dataclasses
import logging

import numpy as np

from semgcn_jax.cameras import load_cameras
from semgcn_jax.config import Config
from semgcn_jax.data import cmu, custom, h36m, synthetic
from semgcn_jax.data.pairs import Pairs, Source, make_pairs
from semgcn_jax.errors import FlagError, listed
from semgcn_jax.skeleton import Skeleton, bone_vectors

DATASETS = {'synthetic': synthetic.read, 'h36m': h36m.read, 'cmu': cmu.read}


@dataclasses.dataclass(frozen=True)
class Dataset:
  """The splits of a dataset, targets in metres.

  Attributes:
    test: what is scored.
    train: what is trained on; None if not asked for.
    val: what chooses the best epoch, if some is taken out of `train`.
  """

  test: Pairs
  train: Pairs | None = None
  val: Pairs | None = None


def read(config: Config) -> Source:
  """What the files of the config's dataset hold.

  Raises:
    FlagError: unknown dataset.
    UserError: files that are missing, damaged or wrong.
  """
  source = DATASETS.get(config.dataset, custom.read)(config)
  if config.cameras:
    cameras = load_cameras(config.cameras)
    source = dataclasses.replace(source, cameras=cameras)
  return source


def load(config: Config, skeleton: Skeleton, *, train: bool = True) -> Dataset:
  """Reads or makes the dataset that the config names.

  Args:
    config: data fields.
    skeleton: of the dataset's poses.
    train: also make the training pairs, and those for validation.

  Raises:
    FlagError: unknown dataset, subject or action; a dataset of one's own
      without a split.
    UserError: files that are missing, damaged or wrong.
  """
  source = read(config)
  train_subjects = config.train_subjects or source.train_subjects
  test_subjects = config.test_subjects or source.test_subjects
  if not train_subjects or not test_subjects:
    raise FlagError(
      '--train_subjects, --test_subjects: give both, there is no standard split'
      f' of {source.name}; it has {listed(source.poses_3d)}'
    )
  for subject in config.val_subjects:
    if subject not in train_subjects:
      raise FlagError(
        f'--val_subjects: {subject} is not a training subject; they are'
        f' {listed(train_subjects)}'
      )
  train_subjects = tuple(
    s for s in train_subjects if s not in config.val_subjects
  )
  if not train_subjects:
    raise FlagError('--val_subjects: leave a subject to train on')
  used = test_subjects
  if train:
    used = (*train_subjects, *config.val_subjects, *test_subjects)
  twice = sorted({subject for subject in used if used.count(subject) > 1})
  if twice:
    raise FlagError(
      f'--train_subjects, --test_subjects: {listed(twice)} twice; a subject is'
      ' either for training or for testing, once'
    )

  def pairs(subjects, downsample):
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
    logging.warning(
      '%s: %d views differ in length from their 2D; cut to the shorter',
      source.name,
      num_cut,
    )
  return Dataset(**splits)


def bone_length_sum(positions: np.ndarray, skeleton: Skeleton) -> np.ndarray:
  """Sum of the bone lengths of `[..., J, D]` poses, `[...]`."""
  return np.linalg.norm(bone_vectors(positions, skeleton), axis=-1).sum(axis=-1)


def canonical_length(train: Pairs, skeleton: Skeleton) -> float:
  """Mean sum of the bone lengths over the training poses, metres."""
  return float(bone_length_sum(train.targets, skeleton).mean(dtype=np.float64))


def center_inputs(pairs: Pairs, skeleton: Skeleton) -> Pairs:
  """Moves the root of every input to the origin."""
  inputs = pairs.inputs - pairs.inputs[:, skeleton.root, None]
  return dataclasses.replace(pairs, inputs=inputs)


def image_aligned(pairs: Pairs, skeleton: Skeleton) -> Pairs:
  """The paper's section 5.1, after Zhou et al. (arXiv:1704.02447).

  Returns:
    Pairs with centred inputs, each target scaled so that its x and y coincide
    with the input: in units of the normalised screen.
  """
  pairs = center_inputs(pairs, skeleton)
  scale = bone_length_sum(pairs.inputs, skeleton) / bone_length_sum(
    pairs.targets[..., :2], skeleton
  )
  return dataclasses.replace(
    pairs, targets=pairs.targets * scale[:, None, None]
  )
