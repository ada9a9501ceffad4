"""2D poses as detectors write them, to Human3.6M's 16 joints.

One JSON file per view, `<subject>/<action>.<camera>.json`, or a folder of that
name with one file per frame or one for all. Read are keypoints in COCO's format
(results or annotations), OpenPose's, AlphaPose's and MMPose's.
"""

import functools
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from semgcn_jax.errors import FlagError, UserError, choose, listed
from semgcn_jax.prepare import h36m
from semgcn_jax.prepare.clips import Clip, Product
from semgcn_jax.skeleton import H36M, JOINT_SETS

# The joint set where --joint_set does not say, by the number of keypoints;
# those of the whole body begin with the joints of the body.
BY_COUNT = {
  **{17: 'coco', 133: 'coco', 16: 'mpii', 25: 'body_25'},
  **{26: 'halpe_26', 136: 'halpe_26', 32: 'h36m_32'},
}
# Of a view's frames that need a person: fewer, and numbers are no frames.
MIN_DETECTED = 0.2

_VIEW = re.compile(r'(?:.*/)?([^/]+)/([^/]+)\.(\d+)(?:\.json|/[^/]+\.json)')


def wanted(name: str) -> bool:
  """Whether a file of this name, its path with '/', is read."""
  return bool(_VIEW.fullmatch(name))


def find(
  folders: Sequence[pathlib.Path],
  *,
  dataset: str,
  keypoints: str,
  joint_set: str,
) -> Iterator[Product]:
  """The detections in folders.

  Args:
    folders: to look in, at any depth.
    dataset: that they belong to.
    keypoints: name to give them.
    joint_set: a key of `skeleton.JOINT_SETS`; '': by the number of joints.

  Raises:
    FlagError: no name, or no such joint set.
    UserError: a camera that the dataset lacks.
  """
  files: dict[tuple[str, str, str], list[pathlib.Path]] = {}
  for folder in folders:
    for path in sorted(folder.rglob('*.json')):
      if match := _VIEW.fullmatch(path.absolute().as_posix()):
        files.setdefault(match.groups(), []).append(path)
  if not files:
    return
  if not re.fullmatch(r'\w+', keypoints) or not re.fullmatch(r'\w+', dataset):
    raise FlagError(
      f'--keypoints={keypoints}, --dataset={dataset}: name the detections and'
      ' their dataset by letters, digits and _'
    )
  if joint_set:
    choose('joint_set', joint_set, JOINT_SETS)
  clips = [
    Clip(
      subject,
      h36m.canonical(action),
      functools.partial(read_view, tuple(paths), joint_set),
      _camera(camera, paths[0]),
    )
    for (subject, action, camera), paths in files.items()
  ]
  yield Product(dataset, clips, keypoints)


def _camera(name: str, path: pathlib.Path) -> int:
  if name in h36m.CAMERAS:
    return h36m.CAMERAS.index(name)
  if int(name) > 99:
    raise UserError(
      f'{path}: {name} is not a camera; they are 0, 1, ..., or'
      f' {listed(h36m.CAMERAS)}'
    )
  return int(name)


def read_view(paths: Sequence[pathlib.Path], joint_set: str = '') -> np.ndarray:
  """One camera's detections of one person.

  Of several people in a frame the one with the highest sum of confidences is
  taken. Joints that are not there are interpolated over time, confidence 0.

  Args:
    paths: one file for all frames, or one for each.
    joint_set: a key of `skeleton.JOINT_SETS`; '': by the number of joints.

  Returns:
    `[T, 16, 3]` float32: pixels x and y, and confidence.

  Raises:
    UserError: not such files; too few frames with a person.
  """
  frames: dict[int, np.ndarray] = {}
  for path in paths:
    for frame, person in _people(path):
      best = frames.get(frame)
      if best is None or person[:, 2].sum() > best[:, 2].sum():
        frames[frame] = person
  if not frames:
    raise UserError(f'{paths[0]}: no person in any frame')
  # Numbers start at 0 or at 1.
  first = min(1, min(frames))
  count = max(frames) + 1 - first
  if len(frames) < MIN_DETECTED * count:
    raise UserError(
      f'{paths[0]}: a person in only {len(frames)} of {count:,} frames; image'
      ' ids must count the frames of the view'
    )
  sizes = {len(person) for person in frames.values()}
  if len(sizes) > 1:
    raise UserError(f'{paths[0]}: people of {sizes} joints; they must agree')
  joints = sizes.pop()
  name = joint_set or BY_COUNT.get(joints)
  if name is None or joints < JOINT_SETS[name].num_joints:
    raise UserError(
      f'{paths[0]}: {joints} joints a person; name their set by --joint_set'
      f' ({listed(JOINT_SETS)})'
    )
  detected = np.zeros((count, joints, 3))
  for frame, person in frames.items():
    detected[frame - first] = person
  poses = interpolate(to_16(detected, name), str(paths[0]))
  return poses.astype(np.float32)


def to_16(detected: np.ndarray, joint_set: str) -> np.ndarray:
  """Human3.6M's joints of detections.

  Args:
    detected: `[T, J, 3]`, x, y, confidence; confidence 0: not detected.
    joint_set: a key of `skeleton.JOINT_SETS`.

  Returns:
    `[T, 16, 3]`: a joint that several stand for is the mean of those detected;
    its confidence is the mean of all.
  """
  result = np.zeros((len(detected), 16, 3))
  for joint, source in enumerate(JOINT_SETS[joint_set].sources):
    parts = detected[:, source]
    there = parts[..., 2:] > 0
    number = np.maximum(there.sum(axis=1), 1)
    result[:, joint, :2] = (parts[..., :2] * there).sum(axis=1) / number
    result[:, joint, 2] = (parts[..., 2] * there[..., 0]).mean(axis=1)
  return result


def interpolate(detected: np.ndarray, source: str) -> np.ndarray:
  """Fills joints of confidence 0 linearly between the frames around.

  Args:
    detected: `[T, J, 3]`, x, y, confidence.
    source: the file, for the message.

  Raises:
    UserError: a joint is in no frame.
  """
  result, frames = detected.copy(), np.arange(len(detected))
  for joint in range(detected.shape[1]):
    there = detected[:, joint, 2] > 0
    if not there.any():
      raise UserError(
        f'{source}: {H36M.joints[joint]} is not detected in any frame; is'
        ' --joint_set right?'
      )
    for axis in range(2):
      result[~there, joint, axis] = np.interp(
        frames[~there], frames[there], detected[there, joint, axis]
      )
  return result


def _people(path: pathlib.Path) -> Iterator[tuple[int, np.ndarray]]:
  """(frame, `[J, 3]`) of every person in a file."""
  try:
    content = json.loads(path.read_bytes())
    for frame, keypoints in _entries(content, path):
      person = np.asarray(keypoints, np.float64).reshape(-1, 3)
      if not np.isfinite(person).all():
        raise ValueError('a keypoint is not a number')
      yield frame, person
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, TypeError, KeyError, RecursionError) as error:
    raise UserError(
      f'{path}: cut off, or not keypoints of COCO, OpenPose, AlphaPose or'
      f' MMPose ({type(error).__name__}: {error}); make it again'
    ) from error


def _entries(content: Any, path: pathlib.Path) -> Iterator[tuple[int, Any]]:
  """(frame, x, y, confidence of each joint), by the form of the content."""
  match content:
    case {'people': people}:  # OpenPose: a frame.
      for person in people:
        yield _number(path.name), person['pose_keypoints_2d']
    case {'instance_info': frames}:  # MMPose: a video.
      for frame in frames:
        for person in frame['instances']:
          yield int(frame['frame_id']), _with_scores(person)
    case {'annotations': people, 'images': images}:  # COCO annotations.
      frames = {image['id']: _number(image['file_name']) for image in images}
      for person in people:
        yield frames[person['image_id']], person['keypoints']
    case [{'keypoint_scores': _}, *_]:  # MMPose: a frame.
      for person in content:
        yield _number(path.name), _with_scores(person)
    case [{'image_id': _}, *_] | []:  # COCO results, AlphaPose.
      for person in content:
        yield _number(str(person['image_id'])), person['keypoints']
    case _:
      raise ValueError('of no known form')


def _number(name: str) -> int:
  """'video_000000000012_keypoints.json' -> 12."""
  digits = re.findall(r'\d+', pathlib.PurePath(name).stem)
  if not digits:
    raise ValueError(f'{name} has no frame number')
  return int(digits[-1])


def _with_scores(person: dict) -> Any:
  points = np.asarray(person['keypoints'], np.float64)[:, :2]
  scores = np.asarray(person['keypoint_scores'], np.float64)
  return np.concatenate([points, scores[:, None]], axis=1)
