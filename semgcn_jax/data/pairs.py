"""Pairs of 2D input and 3D target, made from poses and cameras."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from semgcn_jax.data.npz import Poses2D, Poses3D
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.geometry.cameras import (
  Camera,
  normalize_screen,
  project,
  world_to_camera,
)
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.pictures.image_files import ImageFiles


@dataclasses.dataclass(frozen=True)
class Source:
  """The content of a dataset's files, and its standard split.

  Attributes:
    name: The name of the file of 3D poses, for messages.
    poses_3d: {subject: {action: [T, J, 3]}}, in metres, in the world frame.
    poses_2d: {subject: {action: [one [T, J, 2] per camera]}}, in pixels; None
      projects `poses_3d`.
    cameras: {subject: its cameras}; '*' stands for all other subjects.
    train_subjects: The training subjects of the standard split, if any.
    test_subjects: The test subjects of the standard split, if any.
    fps: The frames per second; 0 if unknown.
  """

  name: str
  poses_3d: Poses3D
  poses_2d: Poses2D | None
  cameras: Mapping[str, Sequence[Camera]]
  train_subjects: tuple[str, ...] = ()
  test_subjects: tuple[str, ...] = ()
  fps: float = 0.0

  def cameras_of(self, subject: str) -> Sequence[Camera] | None:
    """Finds the cameras of a subject; None if it has none."""
    return self.cameras.get(subject, self.cameras.get('*'))


class View(NamedTuple):
  """What one camera sees of one clip.

  Attributes:
    subject: The subject.
    clip: The name of the clip, such as 'Walking 1'.
    camera: The index of the camera among the subject's.
  """

  subject: str
  clip: str
  camera: int


@dataclasses.dataclass(frozen=True)
class Pairs:
  """Pairs of network input and target.

  Attributes:
    inputs: The 2D, `[N, J, 2]` float32, on the normalized screen.
    targets: The 3D, `[N, J, 3]` float32, in metres, in the camera frame,
      relative to the root.
    roots: The position of each root, `[N, 3]` float32, in metres, in the camera
      frame.
    cameras: The index of each pair's camera in `camera_list`, `[N]` int32.
    actions: The index of each pair's action in `action_names`, `[N]` int32.
    action_names: The names of the actions, sorted.
    camera_list: Every camera that sees a pose.
    num_cut: The number of views cut because their 2D and 3D differ in length.
    images: Crops of the people, `[N, S, S, 3]` uint8, RGB; None if there are
      none. Either an array, or files read when indexed by rows. With images,
      the inputs are the true 2D in the crops, whose edges are -1 and 1.
    view_list: The views that the pairs come from; empty if unknown.
    views: The index of each pair's view in `view_list`, `[N]` int32, or None.
    frames: The number of each pair's frame in its clip, from 0, `[N]` int32, or
      None.
    fps: The frames per second of a view; 0 if unknown.
  """

  inputs: np.ndarray
  targets: np.ndarray
  roots: np.ndarray
  cameras: np.ndarray
  actions: np.ndarray
  action_names: tuple[str, ...]
  camera_list: tuple[Camera, ...]
  num_cut: int = 0
  images: Any = None
  view_list: tuple[View, ...] = ()
  views: np.ndarray | None = None
  frames: np.ndarray | None = None
  fps: float = 0.0

  def __len__(self) -> int:
    return len(self.inputs)


def action_name(action: str) -> str:
  """Returns the action in the name of a clip: 'Walking' for 'Walking 1'."""
  return action.split(' ')[0]


def make_pairs(
  source: Source,
  skeleton: Skeleton,
  *,
  subjects: Sequence[str],
  actions: Sequence[str],
  downsample: int,
) -> Pairs:
  """Pairs every chosen pose with its 2D in each camera.

  Args:
    source: The poses and their cameras.
    skeleton: The skeleton of the poses.
    subjects: The subjects to take.
    actions: The names of the actions to take; if empty, all.
    downsample: The step between the frames to take.

  Returns:
    The pairs, ordered by subject, clip, camera and frame.

  Raises:
    SettingError: The source lacks a subject or an action.
    UserError: A clip has no frames; poses are not numbers, do not fit the
      skeleton or lie behind a camera; or 2D and 3D differ in clips or cameras.
  """
  views, cameras, parts, num_cut = [], [], [], 0
  for subject, clip, where in _chosen(source, skeleton, subjects, actions):
    seen = _views(source, subject, clip, where)
    for number, (camera, poses, pixels) in enumerate(seen):
      parts.append(
        _pair_frames(poses, pixels, camera, skeleton, downsample, where)
      )
      num_cut += len(poses) != len(pixels)
      cameras.append(camera)
      views.append(View(subject, clip, number))
  if not parts:
    raise UserError(
      f'{source.name}: no poses of {listed(subjects)} in'
      f' {listed(actions) if actions else "any action"}; choose others'
    )
  names = [action_name(view.clip) for view in views]
  action_names, camera_list = sorted({*names}), tuple(dict.fromkeys(cameras))
  counts = [len(part['frames']) for part in parts]

  def for_each_pose(indices: Sequence[int]) -> np.ndarray:
    """Repeats the index of a view for each of its poses."""
    return np.repeat(np.array(indices, np.int32), counts)

  return Pairs(
    **{key: np.concatenate([part[key] for part in parts]) for key in parts[0]},
    cameras=for_each_pose([camera_list.index(camera) for camera in cameras]),
    actions=for_each_pose([action_names.index(name) for name in names]),
    action_names=tuple(action_names),
    camera_list=camera_list,
    num_cut=num_cut,
    view_list=tuple(views),
    views=for_each_pose(range(len(views))),
    fps=source.fps / downsample,
  )


def _pair_frames(
  poses: np.ndarray,
  pixels: np.ndarray,
  camera: Camera,
  skeleton: Skeleton,
  downsample: int,
  where: str,
) -> dict[str, np.ndarray]:
  """Pairs the frames of a view, as far as it has both 2D and 3D.

  Returns:
    The fields `inputs`, `targets`, `roots` and `frames` of `Pairs`.

  Raises:
    UserError: There are no frames, or the 2D does not fit the skeleton.
  """
  count = min(len(poses), len(pixels))
  if not count:
    raise UserError(f'{where} has no frames; leave it out by `actions`')
  used = slice(0, count, downsample)
  inputs = normalize_screen(pixels[used], camera).astype(np.float32)
  _check(inputs, skeleton, f'the 2D of {where}')
  roots = poses[used, skeleton.root, None]
  return {
    'inputs': inputs,
    'targets': (poses[used] - roots).astype(np.float32),
    'roots': roots[:, 0].astype(np.float32),
    'frames': np.arange(count, dtype=np.int32)[used],
  }


def _chosen(
  source: Source,
  skeleton: Skeleton,
  subjects: Sequence[str],
  actions: Sequence[str],
) -> Iterator[tuple[str, str, str]]:
  """Yields the subject and name of each chosen clip, and its name in messages.

  See `make_pairs` for the arguments and errors.
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
  for subject in subjects:
    for clip, world in source.poses_3d[subject].items():
      if not actions or action_name(clip) in actions:
        where = f'{source.name}: {subject} {clip!r}'
        _check(world, skeleton, where)
        yield subject, clip, where


def take(pairs: Pairs, rows: np.ndarray) -> Pairs:
  """Selects rows `[n]` of the pairs, in the given order."""

  def some(array):
    return None if array is None else array[rows]

  images = pairs.images
  names = ('inputs', 'targets', 'roots', 'cameras', 'actions')
  return dataclasses.replace(
    pairs,
    images=images.take(rows)
    if isinstance(images, ImageFiles)
    else some(images),
    **{
      name: some(getattr(pairs, name)) for name in (*names, 'views', 'frames')
    },
  )


def _views(
  source: Source, subject: str, action: str, where: str
) -> Iterator[tuple[Camera, np.ndarray, np.ndarray]]:
  """Yields each camera of a clip, with its 3D and 2D poses.

  Yields:
    The camera; the poses `[T, J, 3]` in its frame, in metres; and the pixels
    `[T', J, 2]`, which may be more or fewer.

  Raises:
    UserError: The clip has no cameras, or lacks 2D; or it is behind a camera.
  """
  cameras = source.cameras_of(subject)
  if cameras is None:
    raise UserError(
      f'{where} has no cameras; only {listed(source.cameras)} have'
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
  """Raises a UserError if poses do not fit a skeleton or are not numbers."""
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
      ' fix the file or leave the subject or action out'
    )


def known_fps(pairs: Pairs) -> float:
  """Returns the frames per second of pairs.

  Raises:
    SettingError: They are unknown.
  """
  if not pairs.fps:
    raise SettingError('`fps`: say how many frames per second the files have')
  return pairs.fps


def clip_bounds(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
  """Returns the first and the last row of each pair's view, `[N]` each."""
  starts = _starts(pairs)
  ends = np.append(starts[1:], len(pairs)) - 1
  counts = ends - starts + 1
  first, last = (np.repeat(rows, counts) for rows in (starts, ends))
  return first.astype(np.int32), last.astype(np.int32)


def draw_weights(pairs: Pairs, balance: float) -> np.ndarray | None:
  """Returns how often to draw each pair, `[N]`; see the setting `balance`.

  None takes all equally often.

  Raises:
    SettingError: It is not known whose poses they are.
  """
  if not balance:
    return None
  if pairs.views is None:
    raise SettingError('`balance`: these poses do not say whose they are')
  subjects = [view.subject for view in pairs.view_list]
  _, numbers = np.unique(subjects, return_inverse=True)
  of_pair = numbers[pairs.views]
  return np.bincount(of_pair).astype(np.float32)[of_pair] ** -balance


def sequences(pairs: Pairs, step: int) -> list[np.ndarray]:
  """Splits the rows of each view into strided sequences, one per phase.

  Args:
    pairs: The pairs.
    step: The stride, at least 1.

  Returns:
    Rows, `[n]` each; together all rows of the pairs, each once.
  """
  views = np.split(np.arange(len(pairs)), _starts(pairs)[1:])
  return [
    rows[phase::step] for rows in views for phase in range(min(step, len(rows)))
  ]


def _starts(pairs: Pairs) -> np.ndarray:
  """Returns the rows where views begin, ascending."""
  assert pairs.views is not None
  return np.flatnonzero(np.diff(pairs.views, prepend=-1))
