"""Checks whether training can use the files in a folder, and says why not."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.optimize

from semgcn_jax.config import OF_POSES, DataConfig
from semgcn_jax.data import image_folder
from semgcn_jax.data.datasets import read
from semgcn_jax.data.image_folder import ANNOTATIONS
from semgcn_jax.data.npz import Poses2D, Poses3D, read_poses_2d, read_poses_3d
from semgcn_jax.data.pairs import Source
from semgcn_jax.data.plausible import MIN_PIXELS, sample_rows
from semgcn_jax.errors import SettingError, UserError, counted, listed
from semgcn_jax.geometry.cameras import project, world_to_camera
from semgcn_jax.geometry.joint_sets import to_h36m
from semgcn_jax.geometry.skeletons import H36M, Skeleton, load_skeleton

SAMPLE = 100  # Frames to examine per clip, at most.
# The highest mean distance of the 2D from the projected 3D, as a share of the
# person's size. Detections are off by a few percent.
MAX_MISFIT = 0.15
# Another reading of the 2D, such as with swapped joints, is reported if it
# reduces the distance to this share.
BETTER = 0.6

_UNITS = {'metres': 1.0, 'centimetres': 0.01, 'millimetres': 0.001}
_JOINT = {name: index for index, name in enumerate(H36M.joints)}


def verify(
  folder: pathlib.Path, *, cameras: str = '', skeleton: str = 'h36m'
) -> None:
  """Prints what each file holds, and what is wrong with it.

  Args:
    folder: The folder of data_3d_<dataset>.npz and
      data_2d_<dataset>_<keypoints>.npz.
    cameras: The JSON file of your own dataset's cameras.
    skeleton: The name or JSON file of your own dataset's skeleton.

  Raises:
    SettingError: The folder has no such files, and no annotations.npz of
      images.
    UserError: A file is not usable; all are checked first.
  """
  if (folder / ANNOTATIONS).exists():
    config = DataConfig(
      dataset='images', data_dir=str(folder), skeleton=skeleton
    )
    if not _report(folder / ANNOTATIONS, check_images, config):
      raise UserError(f'{folder}: not usable as is: {ANNOTATIONS}')
    return
  datasets = [
    path.stem.removeprefix('data_3d_')
    for path in sorted(folder.glob('data_3d_*.npz'))
  ]
  of_dataset = {dataset: [] for dataset in datasets}
  alone = []
  for path in sorted(folder.glob('data_2d_*_*.npz')):
    name = path.stem.removeprefix('data_2d_')
    owners = [d for d in datasets if name.startswith(f'{d}_')]
    (of_dataset[max(owners, key=len)] if owners else alone).append(path)
  if not datasets and not alone:
    raise SettingError(f'`verify={folder}`: holds no data_3d_<dataset>.npz')
  flawed = []
  for dataset, paths in of_dataset.items():
    own = dataset not in OF_POSES
    config = DataConfig(
      dataset=dataset,
      data_dir=str(folder),
      cameras=cameras if own else '',
      skeleton=skeleton if own else 'h36m',
    )
    path = folder / f'data_3d_{dataset}.npz'
    if not _report(path, check_3d, config):
      flawed.append(path.name)
    for path in paths:
      keypoints = path.stem.removeprefix(f'data_2d_{dataset}_')
      config = dataclasses.replace(config, keypoints=keypoints)
      if not _report(path, check_2d, config):
        flawed.append(path.name)
  for path in alone:
    print(f'{path}: its data_3d_<dataset>.npz is missing')
    flawed.append(path.name)
  if flawed:
    raise UserError(f'{folder}: not usable as is: {listed(flawed)}')


def _report(
  path: pathlib.Path,
  check: Callable[[pathlib.Path, DataConfig], tuple[str, list[str]]],
  config: DataConfig,
) -> bool:
  """Prints what a check finds; returns whether the file is usable."""
  try:
    description, problems = check(path, config)
  except UserError as error:
    description, problems = 'cannot be checked', [str(error)]
  print(f'{path}: {description}{"" if problems else "; usable"}')
  for problem in problems:
    print(f'  problem: {problem}')
  return not problems


def check_images(
  path: pathlib.Path, config: DataConfig
) -> tuple[str, list[str]]:
  """Checks a folder of images with poses; see `image_folder.read`.

  Returns:
    A description of the content, and what is wrong with it.

  Raises:
    UserError: It cannot be used.
  """
  del path
  pairs = image_folder.read(config, load_skeleton(config.skeleton))
  counts = [f'{len(part):,} {split}' for split, part in pairs.items()]
  return f'{listed(counts)} images', []


def check_3d(path: pathlib.Path, config: DataConfig) -> tuple[str, list[str]]:
  """Checks a file of 3D poses.

  Args:
    path: The file.
    config: The config of the file's dataset.

  Returns:
    A description of the content, and the problems.

  Raises:
    UserError: The file cannot be read.
  """
  skeleton = load_skeleton(config.skeleton)
  poses = read_poses_3d(path)
  clips = list(_arrays(poses))
  joints = {clip.shape[1] for _, clip in clips}
  description = _describe(poses, counted(len(clips), 'clip'), clips)
  problems = list(_not_numbers(clips))
  if config.dataset == 'h36m':
    clips = [(where, to_h36m(clip, where)) for where, clip in clips]
  elif joints != {skeleton.num_joints}:
    problems.append(f'the skeleton has {skeleton.num_joints} joints')
    return description, problems
  clips = [(where, _sample(clip)) for where, clip in clips]
  sizes = np.concatenate([_size(clip) for _, clip in clips])
  if not len(sizes):
    return description, problems
  size = np.median(sizes)
  # People are 0.4 to 4 m tall; of other skeletons less is certain.
  low, high = (0.4, 4) if skeleton is H36M else (0, 10)
  unit = next((u for u, m in _UNITS.items() if low < size * m < high), None)
  description += f', {unit or "unknown unit"}'
  if unit != 'metres':
    by = f'; probably {unit}: multiply by {_UNITS[unit]:g}' if unit else ''
    if skeleton is H36M and 1.0 < size * 0.0254 < 2.3:
      by += ', or by 0.0254 if inches'
    problems.append(f'poses span {size:.4g}, not plausible in metres{by}')
  if skeleton is H36M:
    problems += _check_human(clips)
  return description, problems


def _check_human(clips: Sequence[tuple[str, np.ndarray]]) -> list[str]:
  """Checks up, left and right of poses with Human3.6M's joints."""
  ups, sides = [], []
  for _, clip in clips:
    feet = clip[:, [_JOINT['RAnkle'], _JOINT['LAnkle']]].mean(axis=1)
    up = (clip[:, _JOINT['Head']] - feet).sum(axis=0)
    ups.append(up / max(np.linalg.norm(up), 1e-9))
    sides.append(_side(clip))
  problems = []
  along = np.abs(ups).argmax(axis=1)
  axis = int(np.bincount(along, minlength=3).argmax())
  down = np.median(np.array(ups)[along == axis, axis]) < 0
  if axis != 2 or down:
    problems.append(
      f'most people stand along {"-" if down else ""}{"xyz"[axis]}; unless they'
      ' lie down, turn them so that z is up'
    )
  if sum(sides) < 0:
    problems.append(
      'left and right are swapped, or one axis is mirrored: knees bend backward'
    )
  else:
    wrong = [
      where
      for (where, clip), side in zip(clips, sides, strict=True)
      if side < -0.05 * len(clip)
    ]
    if wrong:
      problems.append(
        f'left and right may be swapped in {_some(wrong)}: knees bend backward'
        ' there'
      )
  return problems


def _side(clip: np.ndarray) -> float:
  """Measures which side left is on, given that knees bend forward.

  Args:
    clip: The poses, `[T, 16, 3]`.

  Returns:
    A sum over the frames, to which straight legs add little: above 0 if the
    left hip is on the left, below 0 if it is on the right.
  """
  left = clip[:, _JOINT['LHip']] - clip[:, _JOINT['RHip']]
  up = clip[:, _JOINT['Thorax']] - clip[:, _JOINT['Pelvis']]
  total = 0.0
  for side in 'LR':
    hip, knee, ankle = (
      clip[:, _JOINT[side + name]] for name in ('Hip', 'Knee', 'Ankle')
    )
    leg = ankle - hip
    share = ((knee - hip) * leg).sum(-1) / np.maximum((leg**2).sum(-1), 1e-9)
    forward = knee - hip - share[:, None] * leg
    volume = (left * np.cross(up, forward)).sum(-1)
    size = np.linalg.norm(left, axis=-1) * np.linalg.norm(up, axis=-1)
    length = np.linalg.norm(knee - hip, axis=-1)
    total += float(np.nansum(volume / np.maximum(size * length, 1e-9)))
  return total


def check_2d(path: pathlib.Path, config: DataConfig) -> tuple[str, list[str]]:
  """Checks a file of 2D poses, by itself and against the 3D.

  The arguments and the result are like those of `check_3d`; the config also
  names the keypoints.

  Raises:
    UserError: The file, or that of the 3D, cannot be read.
  """
  poses = read_poses_2d(path)
  views = list(_arrays(poses))
  cameras = sorted({len(v) for a in poses.values() for v in a.values()})
  of_cameras = f' of {listed(map(str, cameras))} cameras'
  description = _describe(
    poses, counted(len(views), 'view') + of_cameras, views
  )
  problems = list(_not_numbers(views))
  largest = [np.abs(v).max() for v in (_sample(v) for _, v in views) if len(v)]
  if not largest:
    return description, problems
  if np.median(largest) < MIN_PIXELS:
    problems.append('normalized to the screen; give pixels')
    return description, problems
  if config.dataset not in OF_POSES and not config.cameras:
    return f'{description}; not compared with the 3D (no `cameras`)', problems
  source = read(config)
  skeleton = load_skeleton(config.skeleton)
  for poses in (source.poses_3d, source.poses_2d or {}):
    for where, array in _arrays(poses):
      if array.shape[1] != skeleton.num_joints:
        problems.append(
          f'{where} has {array.shape[1]} joints, the skeleton'
          f' {skeleton.num_joints}'
        )
        return description, problems
  problems += _without_partner(source)
  # Subjects are checked one by one: one subject's problem hides in the mean.
  found = {}
  for subject, actions in source.poses_3d.items():
    of_one = dataclasses.replace(source, poses_3d={subject: actions})
    if of_subject := list(_check_fit(of_one, skeleton)):
      found[subject] = of_subject
  if len(found) == len(source.poses_3d):
    problems += _check_fit(source, skeleton)
  else:
    problems += [f'{s}: {p}' for s, of_one in found.items() for p in of_one]
  return description, problems


def _describe(
  poses: Poses3D | Poses2D, what: str, arrays: Sequence[tuple[str, np.ndarray]]
) -> str:
  """Describes the content of a file; `what` counts its clips or views."""
  frames = counted(sum(len(array) for _, array in arrays), 'frame')
  joints = listed(map(str, sorted({array.shape[1] for _, array in arrays})))
  return f'{counted(len(poses), "subject")}, {what}, {frames}, {joints} joints'


def _arrays(poses: Poses3D | Poses2D) -> Iterator[tuple[str, np.ndarray]]:
  """Yields the name and the poses of every clip, or of every view in 2D."""
  for subject, actions in poses.items():
    for action, clip in actions.items():
      where = f'{subject} {action!r}'
      if isinstance(clip, list):
        yield from (
          (f'{where} camera {i}', view) for i, view in enumerate(clip)
        )
      else:
        yield where, clip


def _without_partner(source: Source) -> Iterator[str]:
  """Finds clips without 2D, and views of another length."""
  lacking, differ = [], []
  for subject, actions in source.poses_3d.items():
    there = (source.poses_2d or {}).get(subject, {})
    lacking += [
      f'{subject} {action!r}' for action in actions if action not in there
    ]
    differ += [
      f'{subject} {action!r} camera {camera} (2D {len(view)}, 3D {len(poses)})'
      for action, poses in actions.items()
      for camera, view in enumerate(there.get(action, []))
      if abs(len(view) - len(poses)) > 1
    ]
  if lacking:
    yield f'no 2D of {_some(lacking)}'
  if differ:
    yield f'lengths differ from the 3D: {_some(differ)}'


def _check_fit(source: Source, skeleton: Skeleton) -> Iterator[str]:
  """Compares the 2D with the projected 3D, and explains differences."""
  sides = skeleton.mirror_order
  costs, swapped, by_camera = [], [], []
  for where, views, projections in _compared(source):
    # Every view is compared with every camera's projection: [C, C, J, J].
    cost = np.array([[_distances(v, p) for p in projections] for v in views])
    if not np.isfinite(cost).all():
      continue  # The caller has reported NaN and infinity.
    by_camera.append(_fit(cost))
    for camera in range(len(views)):
      costs.append(cost[camera, camera])
      if _fit(costs[-1][:, sides]) < BETTER * _fit(costs[-1]):
        swapped.append(f'{where} camera {camera}')
  if not costs:
    yield 'no view can be compared with the 3D'
    return
  cost = np.mean(costs, axis=0)
  _, order = scipy.optimize.linear_sum_assignment(cost)
  if _fit(cost[:, order]) < BETTER * _fit(cost):
    if (order == sides).all():
      yield 'left and right are swapped'
    else:
      yield 'the joints are in another order: ' + listed(
        f'{skeleton.joints[have]} is where {skeleton.joints[want]} should be'
        for have, want in enumerate(order)
        if have != want
      )
  elif swapped:
    yield f'left and right are swapped in {_some(swapped)}'
  elif _fit(cost) > MAX_MISFIT:
    why = ''
    if len({among.shape for among in by_camera}) == 1:
      among = np.mean(by_camera, axis=0)
      view, order = scipy.optimize.linear_sum_assignment(among)
      if among[view, order].mean() < BETTER * _fit(cost):
        why = f'; its views seem to be from cameras {listed(map(str, order))}'
    yield (
      'does not fit the projected 3D: off by'
      f" {100 * _fit(cost):.0f}% of the person's size{why}"
    )


def _compared(
  source: Source,
) -> Iterator[tuple[str, list[np.ndarray], list[np.ndarray]]]:
  """Yields the clips that have a view from each of their cameras.

  Yields:
    The name of the clip, and of some of its frames the view and the projection
    of each camera, `[T, J, 2]` in pixels.
  """
  for subject, actions in source.poses_3d.items():
    calibrated = source.cameras_of(subject)
    for action, poses in actions.items():
      views = (source.poses_2d or {}).get(subject, {}).get(action)
      if not views or not calibrated or len(views) != len(calibrated):
        continue
      frames = min(len(poses), *map(len, views))
      if not frames:
        continue
      rows = sample_rows(frames, SAMPLE)
      world = poses[rows].astype(np.float64)
      projections = [project(world_to_camera(world, c), c) for c in calibrated]
      yield f'{subject} {action!r}', [v[rows] for v in views], projections


def _distances(view: np.ndarray, projection: np.ndarray) -> np.ndarray:
  """Averages the distance of every 2D joint from every projected joint.

  Args:
    view: The 2D, `[T, J, 2]`, in pixels.
    projection: The projected 3D, `[T, J, 2]`, in pixels.

  Returns:
    The mean distances `[J, J]`, as shares of the person's size.
  """
  distance = np.linalg.norm(view[:, :, None] - projection[:, None], axis=-1)
  size = np.maximum(_size(projection), 1e-9)
  return (distance / size[:, None, None]).mean(axis=0)


def _fit(cost: np.ndarray) -> np.ndarray:
  """Averages `[..., J, J]` distances of each joint from itself, `[...]`."""
  return np.diagonal(cost, axis1=-2, axis2=-1).mean(axis=-1)


def _not_numbers(clips: Sequence[tuple[str, np.ndarray]]) -> Iterator[str]:
  """Finds clips with NaN or infinite values, or without frames."""
  bad = [
    f'{where} ({counted(count, "frame")})'
    for where, clip in clips
    if (count := int((~np.isfinite(clip)).any(axis=(1, 2)).sum()))
  ]
  if bad:
    yield f'not numbers in {_some(bad)}'
  empty = [where for where, clip in clips if not len(clip)]
  if empty:
    yield f'no frames in {_some(empty)}'


def _size(poses: np.ndarray) -> np.ndarray:
  """Returns the longest side `[T]` of the box around each of `[T, J, D]`."""
  return np.ptp(poses, axis=1).max(axis=-1)


def _sample(clip: np.ndarray) -> np.ndarray:
  """Returns some frames in float64, without NaN and infinite ones."""
  clip = clip[sample_rows(len(clip), SAMPLE)].astype(np.float64)
  return clip[np.isfinite(clip).all(axis=(1, 2))]


def _some(names: Sequence[str]) -> str:
  """Lists up to five names, and counts the rest."""
  more = f' and {len(names) - 5} more' if len(names) > 5 else ''
  return listed(names[:5]) + more
