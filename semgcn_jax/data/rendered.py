"""A dataset of pictures that are drawn: people who move, seen by any camera.

Each picture shows another moment of a motion, and has a body, clothing, a room,
a light and a camera of its own. Nothing of the test is in training: not the
motions, the people, or the rooms.
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
# The pictures that are drawn at once: always as many, since a program for
# another number could round otherwise.
_AT_ONCE = 64


def read(
  config: DataConfig, skeleton: Skeleton, *, train: bool
) -> dict[str, Pairs]:
  """Draws the pictures of the dataset, with the poses of those they show.

  The same settings always give the same pictures, and more pictures begin with
  the same ones.

  Args:
    config: Says how many pictures there are, their size and their seed.
    skeleton: The skeleton, which must be `H36M`.
    train: Whether to draw those to train on, too.

  Returns:
    {split: its pairs}: `test`, and with `train` also `train`. Every pair has a
    camera of its own, whose image is the picture.

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
  for name, reason in (
    ('keypoints', 'the input is the true 2D in the pictures'),
    ('cameras', 'every picture has a camera of its own'),
    ('train_subjects', 'it has a split of its own'),
    ('test_subjects', 'it has a split of its own'),
    ('val_subjects', 'it has a split of its own'),
    ('downsample', 'say by `rendered_train` how many pictures there are'),
    ('test_downsample', 'say by `rendered_test` how many pictures there are'),
    ('image_dir', 'its pictures are drawn'),
  ):
    if getattr(config, name) != getattr(plain, name):
      raise SettingError(
        f'`{name}`: does not go with `dataset=rendered`, as {reason}; leave'
        f' `{name}` out'
      )


def _read_motions(config: DataConfig) -> Poses3D:
  """Reads or makes the motions, `{subject: {clip: [T, 16, 3]}}`.

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
          f'{where} has joints that are not numbers; mend the file or leave the'
          ' clip out'
        )
  return motions


def split(motions: Poses3D) -> dict[bool, tuple[str, ...]]:
  """Splits the subjects of motions into those to train on and to test on.

  Returns:
    {True: the subjects to train on, False: those to test on}. They are those of
    the standard split of CMU, Human3.6M and the synthetic motions.
  """
  tested = {*synthetic.TEST_SUBJECTS, *cmu.TEST_SUBJECTS}
  if not set(cmu.TEST_SUBJECTS).isdisjoint(motions):
    tested = {*cmu.TEST_SUBJECTS}
  return {
    True: tuple(s for s in motions if s not in tested),
    False: tuple(s for s in motions if s in tested),
  }


def _draw(config: DataConfig, motions: Poses3D, *, train: bool) -> Pairs:
  """Draws the pictures to train on, or those to test on.

  Raises:
    SettingError: There is no pose to draw, or not enough memory.
  """
  poses, actions, action_names = _list_poses(config, motions, train=train)
  name = 'rendered_train' if train else 'rendered_test'
  count, size = getattr(config, name), config.crop_size
  try:
    images = np.empty((count, size, size, 3), np.uint8)
  except MemoryError as error:
    raise SettingError(
      f'`{name}={count}`: the pictures need {count * size * size * 3:,} bytes'
      ' of memory; draw fewer, or smaller ones by `crop_size`'
    ) from error
  inputs, joints, rows, cameras = [], [], [], []
  for start in rich.progress.track(
    range(0, count, _AT_ONCE),
    f'drawing pictures to {"train" if train else "test"} on',
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
  """Lists the poses of the subjects and actions that are used.

  Returns:
    The poses `[M, 16, 3]`, the index of the action of each, `[M]` int32, and
    the names of the actions.

  Raises:
    SettingError: There is no such action.
    UserError: The motions have no subject to train on, or none to test on.
  """
  subjects = split(motions)
  if not subjects[True] or not subjects[False]:
    raise UserError(
      f'{config.rendered_motions}: has the subjects {listed(motions)}; name'
      f' some of them as those to test on are called,'
      f' {listed((*synthetic.TEST_SUBJECTS, *cmu.TEST_SUBJECTS))}, and others'
      ' not'
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
