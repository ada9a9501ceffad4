"""A dataset of rendered images: moving people, seen by arbitrary cameras.

Each image shows a moment of a motion, with its own body, clothing, room, light
and camera. Training and test share no motions, people or rooms.
"""

import pathlib

import numpy as np
import rich.progress

from semgcn_jax.config import DataConfig
from semgcn_jax.data import cmu, synthetic
from semgcn_jax.data.npz import Poses3D, read_poses_3d
from semgcn_jax.data.pairs import Pairs, action_name
from semgcn_jax.data.plausible import check_3d
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.simulation import pixels, scenes
from semgcn_jax.simulation.draws import Draws

_STREAM = 3  # Keeps the streams of poses apart from those of people and scenes.
# The batch size is fixed: a program for another size might round differently.
_AT_ONCE = 64


def read(
  config: DataConfig, skeleton: Skeleton, *, train: bool
) -> dict[str, Pairs]:
  """Renders the images of the dataset, paired with the poses they show.

  The same settings always give the same images, and a larger dataset begins
  with the images of a smaller one.

  Args:
    config: The number of images, their size and seed.
    skeleton: The skeleton, which must be `H36M`.
    train: Whether to render the training images too.

  Returns:
    {split: its pairs}: `test`, and with `train` also `train`. Every pair has
    its own camera.

  Raises:
    SettingError: A setting contradicts the dataset, or there is not enough
      memory.
    UserError: The file of motions cannot be read, or is not of people.
  """
  _check(config, skeleton)
  motions = _read_motions(config)
  return {
    split: _draw(config, motions, train=split == 'train')
    for split in (('test', 'train') if train else ('test',))
  }


def _check(config: DataConfig, skeleton: Skeleton) -> None:
  """Raises a SettingError if a setting contradicts the dataset."""
  if skeleton != H36M:
    raise SettingError(
      '`skeleton`: people are rendered with the 16 joints of h36m only; use'
      ' `skeleton=h36m`'
    )
  plain = DataConfig()
  for name, reason in {
    'keypoints': 'the input is the true 2D in the images',
    'cameras': 'every image has its own camera',
    'train_subjects': 'it has its own split',
    'test_subjects': 'it has its own split',
    'val_subjects': 'it has its own split',
    'downsample': '`rendered_train` sets the number of images',
    'test_downsample': '`rendered_test` sets the number of images',
    'image_dir': 'its images are rendered',
  }.items():
    if getattr(config, name) != getattr(plain, name):
      raise SettingError(
        f'`{name}`: does not work with `dataset=rendered`, as {reason}; leave'
        f' `{name}` out'
      )


def _read_motions(config: DataConfig) -> Poses3D:
  """Reads or computes the motions, `{subject: {clip: [T, 16, 3]}}`.

  Raises:
    UserError: The file cannot be read, or is not of people with 16 joints.
  """
  if not config.rendered_motions:
    return synthetic.generate(seed=0)
  path = pathlib.Path(config.rendered_motions)
  motions = read_poses_3d(path)
  check_3d(motions, str(path), list(motions))
  for subject, clips in motions.items():
    for clip, poses in clips.items():
      where = f'{path}: {subject} {clip!r}'
      if poses.shape[1] != H36M.num_joints:
        raise UserError(
          f'{where} has {poses.shape[1]} joints; people are rendered with'
          f' {H36M.num_joints}'
        )
      if not np.isfinite(poses).all():
        raise UserError(
          f'{where} has joints that are not numbers; fix the file or leave the'
          ' clip out'
        )
  return motions


def split(motions: Poses3D) -> dict[bool, tuple[str, ...]]:
  """Splits subjects into {True: training, False: test}.

  The split is the standard one of CMU, Human3.6M and the synthetic motions.
  """
  tested = {*synthetic.TEST_SUBJECTS, *cmu.TEST_SUBJECTS}
  if not set(cmu.TEST_SUBJECTS).isdisjoint(motions):
    tested = {*cmu.TEST_SUBJECTS}
  return {
    True: tuple(s for s in motions if s not in tested),
    False: tuple(s for s in motions if s in tested),
  }


def _draw(config: DataConfig, motions: Poses3D, *, train: bool) -> Pairs:
  """Renders the training or the test images.

  Raises:
    SettingError: There is no pose to render, or not enough memory.
  """
  poses, actions, action_names = _list_poses(config, motions, train=train)
  name = 'rendered_train' if train else 'rendered_test'
  count, size = getattr(config, name), config.crop_size
  try:
    images = np.empty((count, size, size, 3), np.uint8)
  except MemoryError as error:
    raise SettingError(
      f'`{name}={count}`: the images need {count * size * size * 3:,} bytes of'
      ' memory; render fewer, or smaller ones with `crop_size`'
    ) from error
  inputs, joints, rows, cameras = [], [], [], []
  for start in rich.progress.track(
    range(0, count, _AT_ONCE),
    f'rendering {"training" if train else "test"} images',
    transient=True,
  ):
    numbers = np.arange(start, start + _AT_ONCE)
    draws = Draws((config.rendered_seed, _STREAM, int(train)), numbers)
    row = draws.choice(range(len(poses)))
    scene, views = scenes.make(
      poses[row],
      numbers,
      seed=config.rendered_seed,
      train=train,
      azimuth=config.rendered_azimuth,
    )
    images[start : start + _AT_ONCE] = pixels.draw(scene, size)[: count - start]
    inputs.append(views.screen)
    joints.append(views.joints)
    rows.append(row)
    cameras += views.cameras(size)
  positions = np.concatenate(joints)[:count]
  roots = positions[:, H36M.root]
  return Pairs(
    inputs=np.concatenate(inputs)[:count].astype(np.float32),
    targets=(positions - roots[:, None]).astype(np.float32),
    roots=roots.astype(np.float32),
    cameras=np.arange(count, dtype=np.int32),
    actions=actions[np.concatenate(rows)[:count]],
    action_names=action_names,
    camera_list=tuple(cameras[:count]),
    images=images,
  )


def _list_poses(
  config: DataConfig, motions: Poses3D, *, train: bool
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
  """Lists the poses of the subjects and actions to use.

  Returns:
    The poses `[M, 16, 3]`, their action indices `[M]` int32, and the names of
    the actions.

  Raises:
    SettingError: There is no such action.
    UserError: The motions have no training subjects, or no test subjects.
  """
  subjects = split(motions)
  if not subjects[True] or not subjects[False]:
    raise UserError(
      f'{config.rendered_motions}: has the subjects {listed(motions)}; name'
      ' some like the test subjects'
      f' {listed((*synthetic.TEST_SUBJECTS, *cmu.TEST_SUBJECTS))}, and some not'
    )
  clips = [
    (action_name(clip), poses)
    for subject in subjects[train]
    for clip, poses in motions[subject].items()
  ]
  there = sorted({name for name, _ in clips})
  for action in config.actions:
    if action not in there:
      raise SettingError(
        f'`actions`: no {action} in the motions; there are {listed(there)}'
      )
  names = tuple(n for n in there if not config.actions or n in config.actions)
  clips = [(name, poses) for name, poses in clips if name in names]
  indices = [np.full(len(poses), names.index(name)) for name, poses in clips]
  return (
    np.concatenate([poses for _, poses in clips]),
    np.concatenate(indices).astype(np.int32),
    names,
  )
