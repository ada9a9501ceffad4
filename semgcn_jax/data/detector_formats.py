"""Reads the 2D poses that detectors write.

It knows the files of COCO (results and annotations), OpenPose, AlphaPose and
MMPose.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from semgcn_jax.errors import UserError, listed
from semgcn_jax.joint_sets import JOINT_SETS
from semgcn_jax.skeleton import H36M

# {number of keypoints: joint set}, for when the setting `joint_set` names none.
# The sets of the whole body, of 133 and 136, begin with the body's joints.
BY_COUNT = {
  16: 'mpii',
  17: 'coco',
  18: 'openpose_18',
  25: 'body_25',
  26: 'halpe_26',
  32: 'h36m_32',
  33: 'mediapipe',
  133: 'coco',
  136: 'halpe_26',
}
# The share of a view's frames that must have a person. With fewer, the numbers
# in the file probably do not count frames.
MIN_DETECTED = 0.2


def read_view(paths: Sequence[pathlib.Path], joint_set: str = '') -> np.ndarray:
  """Reads one camera's detections of one person.

  Of several people in a frame, the one with the highest sum of confidences is
  taken. Joints that were not detected are interpolated over time, and keep
  confidence 0.

  Args:
    paths: One file for all frames, or one for each frame.
    joint_set: The key of the joints in `JOINT_SETS`; '' lets their number tell.

  Returns:
    The poses, `[T, 16, 3]` float32: pixels x and y, and confidence.

  Raises:
    UserError: A file is damaged or of no known form, or too few frames have a
      person.
  """
  frames: dict[int, np.ndarray] = {}
  names: dict[int, str] = {}  # Frames without a person have a name here too.
  for frame, name, people in _numbered(paths):
    names[frame] = name
    for person in people:
      best = frames.get(frame)
      if best is None or person.keypoints[:, 2].sum() > best[:, 2].sum():
        frames[frame] = person.keypoints
  if not frames:
    raise UserError(f'{paths[0]}: no person in any frame')
  # Frames count from 0 or 1. A view may seem to begin later, since some files
  # do not name frames without a person. AlphaPose counts from '0.jpg'.
  first = min(names)
  if first == 1 and names[1] in ('1.jpg', '1.png'):
    first = 0
  count = max(names) + 1 - min(first, 1)
  first = min(first, 1)
  if len(frames) < MIN_DETECTED * count:
    raise UserError(
      f'{paths[0]}: a person in only {len(frames)} of {count:,} frames; image'
      ' ids must count the frames of the view'
    )
  sizes = sorted({len(person) for person in frames.values()})
  if len(sizes) > 1:
    raise UserError(
      f'{paths[0]}: people of {listed(map(str, sizes))} joints; they must agree'
    )
  joints = sizes[0]
  name = joint_set or BY_COUNT.get(joints)
  if name is None or not fits(joints, name):
    raise UserError(
      f'{paths[0]}: {joints} joints a person; name their set by `joint_set`'
      f' ({listed(JOINT_SETS)})'
    )
  detected = np.zeros((count, joints, 3))
  for frame, person in frames.items():
    detected[frame - first] = person
  poses = interpolate(to_16(detected, name), str(paths[0]))
  return poses.astype(np.float32)


def fits(joints: int, joint_set: str) -> bool:
  """Tells whether people of so many joints are of a joint set.

  Those of the whole body, of 133 and 136, begin with the body's joints.
  """
  whole_body = joints in (133, 136) and BY_COUNT[joints] == joint_set
  return whole_body or joints == JOINT_SETS[joint_set].num_joints


def to_16(detected: np.ndarray, joint_set: str) -> np.ndarray:
  """Converts detections to Human3.6M's 16 joints.

  Args:
    detected: Detections `[T, J, 3]`: pixels x and y, and confidence, which is
      0 where a joint was not detected.
    joint_set: The key of these J joints in `JOINT_SETS`.

  Returns:
    Detections `[T, 16, 3]`. Where several joints stand for one, it is the mean
    of those that were detected; its confidence is the mean of all.
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
  """Interpolates joints of confidence 0 linearly between the frames around.

  Args:
    detected: Detections `[T, 16, 3]`: pixels x and y, and confidence.
    source: The file that they are from, for the message.

  Returns:
    The detections, of which all x and y are filled in.

  Raises:
    UserError: A joint is not detected in any frame.
  """
  result, frames = detected.copy(), np.arange(len(detected))
  for joint in range(detected.shape[1]):
    there = detected[:, joint, 2] > 0
    if not there.any():
      raise UserError(
        f'{source}: {H36M.joints[joint]} is not detected in any frame; is'
        ' `joint_set` right?'
      )
    for axis in range(2):
      result[~there, joint, axis] = np.interp(
        frames[~there], frames[there], detected[there, joint, axis]
      )
  return result


@dataclasses.dataclass(frozen=True)
class Person:
  """A person in a frame.

  Attributes:
    keypoints: Pixels x and y, and confidence, `[J, 3]`.
    track: The number of the person in the clip, if the file tells it.
  """

  keypoints: np.ndarray
  track: int | None = None


def read_people(
  paths: Sequence[pathlib.Path],
) -> tuple[dict[int, list[Person]], tuple[int, int] | None]:
  """Reads everybody whom a detector has found in a clip.

  Args:
    paths: One file for all frames, or one for each frame: JSON of COCO,
      OpenPose, AlphaPose or MMPose, or arrays (npy, npz), see `read_array`.

  Returns:
    {number of a frame: its people}, and the width and height of the images in
    pixels, if a file tells them.

  Raises:
    UserError: A file is damaged or of no known form, or two frames have the
      same number.
  """
  if paths[0].suffix.lower() in ('.npy', '.npz'):
    people, size = read_array(paths[0])
    return dict(enumerate(people)), size
  frames: dict[int, list[Person]] = {}
  for frame, _, people in _numbered(paths):
    frames.setdefault(frame, []).extend(people)
  return dict(sorted(frames.items())), _image_size(paths[0])


def read_array(
  path: pathlib.Path,
) -> tuple[list[list[Person]], tuple[int, int] | None]:
  """Reads keypoints from an array, as MediaPipe's and YOLO's users save them.

  Args:
    path: An npy, or an npz with the array `keypoints` (or only one array), and
      with `image_size` (width, height), if that is to be told. The array is
      `[T, J, D]`, or `[T, P, J, D]` for up to P people in a frame, where D is 2
      (x, y), 3 (and confidence) or 4 (MediaPipe's x, y, z and visibility). NaN,
      and the confidence 0, are not found.

  Returns:
    For each frame its people, and the size of the images, if it is told.

  Raises:
    UserError: The file is damaged, or its array has another shape.
  """
  try:
    loaded = np.load(path, allow_pickle=False)
    size = None
    if isinstance(loaded, np.ndarray):
      array = loaded
    else:
      with loaded:
        names = [name for name in loaded.files if name != 'image_size']
        if not names:
          raise ValueError('no array')
        name = 'keypoints' if 'keypoints' in names else names[0]
        if name != 'keypoints' and len(names) > 1:
          raise ValueError(f'no array keypoints among {listed(names)}')
        array = loaded[name]
        if 'image_size' in loaded.files:
          width, height = loaded['image_size'].ravel()[:2]
          size = int(width), int(height)
    if array.dtype.kind not in 'fiu':
      raise ValueError(f'of type {array.dtype}')
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or "not an array"}') from error
  except Exception as error:  # A damaged file can raise anything.
    raise UserError(
      f'{path}: not an array of keypoints ({type(error).__name__}: {error});'
      ' give [T, J, 3]'
    ) from error
  if array.ndim == 3:
    array = array[:, None]
  if array.ndim != 4 or array.shape[-1] not in (2, 3, 4) or not array.size:
    raise UserError(
      f'{path}: an array of the shape {array.shape}; give [T, J, 2], [T, J, 3]'
      ' or [T, P, J, 3]'
    )
  array = array.astype(np.float64)
  if array.shape[-2:] == (33, 3) and np.nanmin(array[..., 2]) < 0:
    raise UserError(
      f'{path}: the third column is below 0, so it is z; give the visibility'
      ' in its place, or all four columns of MediaPipe'
    )
  if array.shape[-1] == 2:
    array = np.concatenate([array, np.ones_like(array[..., :1])], axis=-1)
  elif array.shape[-1] == 4:
    array = array[..., [0, 1, 3]]
  array[~np.isfinite(array).all(axis=-1)] = 0
  # YOLO puts what it has not found at 0, 0, whatever the confidence.
  array[(array[..., :2] == 0).all(axis=-1)] = 0
  people = [
    [
      Person(person, number if array.shape[1] == 1 else None)
      for number, person in enumerate(frame)
      if (person[:, 2] > 0).any()
    ]
    for frame in array
  ]
  return people, size


def _image_size(path: pathlib.Path) -> tuple[int, int] | None:
  """Reads the size of the images where COCO's annotations tell one for all."""
  content = json.loads(path.read_bytes())
  if not isinstance(content, dict):
    return None
  images = content.get('images')
  sizes = set()
  for image in images if isinstance(images, list) else ():
    width, height = image.get('width'), image.get('height')
    if not (isinstance(width, int) and isinstance(height, int)):
      return None
    sizes.add((width, height))
  if len(sizes) != 1 or min(size := sizes.pop()) <= 0:
    return None
  return size


def _numbered(
  paths: Sequence[pathlib.Path],
) -> Iterator[tuple[int, str, list[Person]]]:
  """Reads the number and the name of every frame, and the people in it.

  A file by itself that is a single frame is frame 0, whatever its name.
  """
  names: dict[int, str] = {}
  for path in paths:
    for name, people in _read(path):
      alone = len(paths) == 1 and name == path.name
      frame = 0 if alone else _number(name, path)
      if names.setdefault(frame, name) != name:
        raise UserError(
          f'{path}: {names[frame]} and {name} are both frame {frame}; the last'
          ' number of a name must count the frames'
        )
      yield frame, name, people


def _read(path: pathlib.Path) -> Iterator[tuple[str, list[Person]]]:
  """Reads the name of every frame, and the people in it."""
  try:
    for name, found in _frames(json.loads(path.read_bytes()), path):
      people = [
        Person(np.asarray(keypoints, np.float64).reshape(-1, 3), track)
        for keypoints, track in found
      ]
      if not all(np.isfinite(person.keypoints).all() for person in people):
        raise ValueError('a keypoint is not a number')
      yield name, people
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (
    *(ValueError, TypeError, AttributeError, RecursionError),
    *(LookupError, ArithmeticError),
  ) as error:
    raise UserError(
      f'{path}: cut off, or not keypoints of COCO, OpenPose, AlphaPose or'
      f' MMPose ({type(error).__name__}: {error}); make it again'
    ) from error


def _frames(
  content: Any, path: pathlib.Path
) -> Iterator[tuple[str, list[Any]]]:
  """Finds the name of every frame, and each person's keypoints and track."""
  match content:
    case {'people': people}:  # A frame of OpenPose, or of AlphaPose's 'open'.
      yield (
        path.name,
        [(person['pose_keypoints_2d'], _track(person)) for person in people],
      )
    case {'bodies': people}:  # A frame of AlphaPose's 'cmu'.
      yield path.name, [(person['joints'], _track(person)) for person in people]
    case {'instance_info': frames}:  # A video of MMPose's demos.
      yield from _frames(frames, path)
    case [{'frame_id': _, 'instances': _}, *_]:  # A video of its inferencer.
      for frame in content:
        people = [
          (_with_scores(person), _track(person))
          for person in frame['instances']
        ]
        yield str(int(frame['frame_id'])), people
    case [{'keypoint_scores': _}, *_] | []:  # A frame of MMPose.
      yield (
        path.name,
        [(_with_scores(person), _track(person)) for person in content],
      )
    case {'annotations': people, 'images': images}:  # Annotations of COCO.
      names = {image['id']: image['file_name'] for image in images}
      yield from ((name, []) for name in names.values())
      for person in people:
        if 'keypoints' in person:  # The annotation of a crowd has none.
          yield (
            names[person['image_id']],
            [(_annotated(person['keypoints']), _track(person))],
          )
    case [{'image_id': _}, *_]:  # Results of COCO, or a video of AlphaPose.
      for person in content:
        yield str(person['image_id']), [(person['keypoints'], _track(person))]
    case dict() if content and all(
      isinstance(frame, dict) and ('people' in frame or 'bodies' in frame)
      for frame in content.values()
    ):  # A video of AlphaPose's 'open' or 'cmu'.
      for name, frame in content.items():
        yield from _frames(frame, pathlib.Path(name))
    case _:
      raise ValueError('of no known form')


def _number(name: str, path: pathlib.Path) -> int:
  """Takes the last number of a name, 12 in 'video_0000012_keypoints.json'."""
  stem = pathlib.PurePath(name).stem if not name.isdigit() else name
  digits = re.findall(r'\d+', stem)
  if not digits or name.startswith('-') or len(digits[-1]) > 18:
    raise UserError(f'{path}: frame {name:.40} has no number')
  return int(digits[-1])


def _annotated(keypoints: Sequence[float]) -> np.ndarray:
  """Takes COCO's flag of a keypoint, 1 hidden and 2 visible, as confidence."""
  points = np.asarray(keypoints, np.float64).reshape(-1, 3)
  points[:, 2] = np.minimum(points[:, 2], 1)
  return points


def _track(person: dict[str, Any]) -> int | None:
  """Takes the number that a tracker has given to a person."""
  for name in ('track_id', 'person_id', 'idx'):
    value = person.get(name)
    while isinstance(value, list) and value:
      value = value[0]
    if isinstance(value, int | float) and value >= 0:
      return int(value)
  return None


def _with_scores(person: dict[str, Any]) -> np.ndarray:
  """Joins the keypoints that MMPose writes with their scores, `[J, 3]`."""
  points = np.asarray(person['keypoints'], np.float64)[:, :2]
  scores = np.asarray(person['keypoint_scores'], np.float64)
  return np.concatenate([points, scores[:, None]], axis=1)
