"""Pairs of 2D input and 3D target from poses and cameras."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from semgcn_jax.cameras import (
  Camera,
  normalize_screen,
  project,
  world_to_camera,
)
from semgcn_jax.data.npz import Poses2D, Poses3D
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.skeleton import Skeleton


@dataclasses.dataclass(frozen=True)
class Source:
  """What a dataset's file holds, and how it is split.

  Attributes:
    name: the file, for messages.
    poses_3d: {subject: {action: [T, J, 3]}}, metres, world frame.
    poses_2d: {subject: {action: [[T, J, 2] per camera]}}, pixels; None: the
      projections of `poses_3d`.
    cameras: {subject: its cameras}, '*' for all others.
    train_subjects: the standard split.
    test_subjects: the standard split.
  """

  name: str
  poses_3d: Poses3D
  poses_2d: Poses2D | None
  cameras: Mapping[str, Sequence[Camera]]
  train_subjects: tuple[str, ...]
  test_subjects: tuple[str, ...]

  def cameras_of(self, subject: str) -> Sequence[Camera] | None:
    return self.cameras.get(subject, self.cameras.get('*'))


@dataclasses.dataclass(frozen=True)
class Pairs:
  """Network inputs and targets.

  Attributes:
    inputs: `[N, J, 2]` float32, normalised screen.
    targets: `[N, J, 3]` float32, metres, camera frame, root at the origin.
    roots: `[N, 3]` float32, where the root is, metres, camera frame.
    cameras: `[N]` int32, index into `camera_list`.
    actions: `[N]` int32, index into `action_names`.
    action_names: sorted.
    camera_list: every camera that sees a pose.
    num_cut: views that were cut because their 2D had another length.
  """

  inputs: np.ndarray
  targets: np.ndarray
  roots: np.ndarray
  cameras: np.ndarray
  actions: np.ndarray
  action_names: tuple[str, ...]
  camera_list: tuple[Camera, ...]
  num_cut: int = 0

  def __len__(self) -> int:
    return len(self.inputs)


def action_name(action: str) -> str:
  """'Walking 1' -> 'Walking'."""
  return action.split(' ')[0]


def make_pairs(
  source: Source,
  skeleton: Skeleton,
  *,
  subjects: Sequence[str],
  actions: Sequence[str],
  downsample: int,
) -> Pairs:
  """Every chosen pose as seen by every camera.

  Args:
    source: the poses.
    skeleton: of the poses.
    subjects: subjects to use.
    actions: names to use; empty: all.
    downsample: use every n-th frame.

  Raises:
    SettingError: a subject or action that the source lacks.
    UserError: a clip without frames; poses that are not numbers, do not fit
      the skeleton, or lie behind a camera; 2D of other poses than the 3D.
  """
  for subject in subjects:
    if subject not in source.poses_3d:
      raise SettingError(
        f'`train_subjects`, `test_subjects`: no {subject} in {source.name};'
        f' it has {listed(source.poses_3d)}'
      )
  there = {action_name(a) for s in source.poses_3d.values() for a in s}
  for action in actions:
    if action not in there:
      raise SettingError(
        f'`actions`: no {action} in {source.name}; it has'
        f' {listed(sorted(there))}'
      )
  inputs, targets, roots, names, num_cut = [], [], [], [], 0
  cameras = []
  for subject in subjects:
    for action, world in source.poses_3d[subject].items():
      name = action_name(action)
      if actions and name not in actions:
        continue
      where = f'{source.name}: {subject} {action!r}'
      _check(world, skeleton, where)
      for camera, view, pixels in _views(source, subject, action, where):
        frames = min(len(view), len(pixels))
        if not frames:
          raise UserError(f'{where} has no frames; leave it out by `actions`')
        num_cut += len(view) != len(pixels)
        used = slice(0, frames, downsample)
        root = view[used, skeleton.root, None]
        roots.append(root[:, 0].astype(np.float32))
        cameras.append(camera)
        inputs.append(normalize_screen(pixels[used], camera).astype(np.float32))
        targets.append((view[used] - root).astype(np.float32))
        names.append((name, len(inputs[-1])))
        _check(inputs[-1], skeleton, f'the 2D of {where}')
  if not names:
    raise UserError(
      f'{source.name}: no poses of {listed(subjects)} in'
      f' {listed(actions) if actions else "any action"}; choose others'
    )
  action_names = tuple(sorted({name for name, _ in names}))
  camera_list = tuple(dict.fromkeys(cameras))

  def for_each_pose(indices):
    counts = [count for _, count in names]
    return np.repeat(np.array(indices, np.int32), counts)

  return Pairs(
    inputs=np.concatenate(inputs),
    targets=np.concatenate(targets),
    roots=np.concatenate(roots),
    cameras=for_each_pose([camera_list.index(camera) for camera in cameras]),
    actions=for_each_pose([action_names.index(name) for name, _ in names]),
    action_names=action_names,
    camera_list=camera_list,
    num_cut=num_cut,
  )


def _views(
  source: Source, subject: str, action: str, where: str
) -> Iterator[tuple[Camera, np.ndarray, np.ndarray]]:
  """(camera, [T, J, 3] camera frame, [T', J, 2] pixels) of every camera."""
  cameras = source.cameras_of(subject)
  if cameras is None:
    raise UserError(
      f'{where} has no cameras; there are those of {listed(source.cameras)}'
    )
  world = source.poses_3d[subject][action].astype(np.float64)
  views = [world_to_camera(world, camera) for camera in cameras]
  if source.poses_2d is None:
    if any((view[..., 2] <= 0).any() for view in views):
      raise UserError(f'{where} lies behind a camera; is it in metres?')
    pixels = [project(v, c) for v, c in zip(views, cameras, strict=True)]
  else:
    detected = source.poses_2d.get(subject)
    if detected is None:
      raise UserError(
        f'{where} has no 2D: its subjects are {listed(source.poses_2d)};'
        ' choose by `train_subjects` and `test_subjects`'
      )
    if action not in detected:
      raise UserError(f'{where} has no 2D; choose by `actions`')
    pixels = detected[action]
    if len(pixels) != len(cameras):
      raise UserError(
        f'{where} has 2D of {len(pixels)} cameras, not {len(cameras)}'
      )
  yield from zip(cameras, views, pixels, strict=True)


def _check(poses: np.ndarray, skeleton: Skeleton, where: str) -> None:
  if poses.shape[1] != skeleton.num_joints:
    raise UserError(
      f'{where} has {poses.shape[1]} joints, the skeleton'
      f' {skeleton.num_joints}; choose another `skeleton`'
    )
  bad = np.argwhere(~np.isfinite(poses).all(axis=-1))
  if len(bad):
    frame, joint = bad[0]
    raise UserError(
      f'{where} frame {frame} joint {skeleton.joints[joint]} is not a number;'
      ' mend the file or leave the subject or action out'
    )
