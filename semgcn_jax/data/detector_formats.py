"""Reads the 2D poses that detectors write.

It knows the files of COCO (results and annotations), OpenPose, AlphaPose,
PoseFlow and MMPose.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.files import read_arrays, read_bytes
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
# Detectors give confidences from 0 to 1, or a little above; COCO's flags are 0,
# 1 and 2.
MAX_CONFIDENCE = 2.0


@dataclasses.dataclass(frozen=True)
class View:
  """What a detector has found of one person in the frames of one camera.

  Attributes:
    source: A file that it is of, for messages.
    first: The number of the first frame that is named.
    is_whole: Whether the files name the frames without a person, too.
    poses: `[T, 16, 3]`, pixels x and y, and confidence, which is 0 where a
      joint was not found; T is 0 if nobody was ever found.
  """

  source: str
  first: int
  is_whole: bool
  poses: np.ndarray

  @property
  def last(self) -> int:
    """The number of the last frame that is named."""
    return self.first + len(self.poses) - 1


def read_view(paths: Sequence[pathlib.Path], joint_set: str = '') -> View:
  """Reads one camera's detections of one person.

  Of several people in a frame, the one with the highest sum of confidences is
  taken.

  Args:
    paths: One file for all frames, or one for each frame.
    joint_set: The key of the joints in `JOINT_SETS`; '' lets their number tell.

  Raises:
    UserError: A file is damaged or of no known form, or too few frames have a
      person.
  """
  frames: dict[int, np.ndarray] = {}
  named: set[int] = set()
  is_whole = True
  for frame, is_of_all, people in _numbered(paths):
    named.add(frame)
    is_whole &= is_of_all
    for person in people:
      best = frames.get(frame)
      if best is None or person.keypoints[:, 2].sum() > best[:, 2].sum():
        frames[frame] = person.keypoints
  if not frames:
    return View(str(paths[0]), 0, is_whole, np.zeros((0, 16, 3)))
  first, count = min(named), max(named) + 1 - min(named)
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
  return View(str(paths[0]), first, is_whole, to_16(detected, name))


def align(
  views: dict[int, View],
  *,
  frames_3d: int | None = None,
  first_frame: int | None = None,
) -> tuple[dict[int, np.ndarray], list[str]]:
  """Puts the views of a clip on a common count of frames, and fills gaps.

  The clip begins with the first frame that any of its views names; each view
  ends with its own last. Joints and people that were not found are interpolated
  over time, and keep confidence 0.

  Args:
    views: {index of a camera: its view}; each has found somebody.
    frames_3d: How many frames the 3D of the clip has, if it is there. Numbers
      that fit only from 0, or only from 1, then tell which.
    first_frame: The number of the clip's first frame; None finds it.

  Returns:
    {index of a camera: `[T, 16, 3]` float32}, and what the user should know:
    what was guessed and filled.

  Raises:
    UserError: A joint is not found in any frame.
    SettingError: A view begins before `first_frame`.
  """
  first = min(view.first for view in views.values())
  last = max(view.last for view in views.values())
  notes = []
  start = first if first_frame is None else first_frame
  if first < start:
    earliest = min(views.values(), key=lambda view: view.first)
    raise SettingError(
      f'`first_frame={start}`: {earliest.source} begins with frame {first}'
    )
  if first_frame is None:
    is_whole = all(view.is_whole for view in views.values())
    if frames_3d is not None and not is_whole:
      fits_0, fits_1 = last < frames_3d, 1 <= first and last <= frames_3d
      if fits_0 and not (fits_1 and first == 1):
        start = 0
      elif fits_1:
        start = 1
    if start != 0 or first != 0:
      notes.append(f'frame {start} is taken as the first')
  whole = {}
  for camera, view in views.items():
    late = np.zeros((view.first - start, 16, 3))
    detected = np.concatenate([late, view.poses])
    empty = int((~(detected[..., 2] > 0).any(axis=1)).sum())
    if empty:
      notes.append(
        f'camera {camera}: {empty:,} of {len(detected):,} frames have nobody,'
        ' and are filled from those around'
      )
    whole[camera] = interpolate(detected, view.source).astype(np.float32)
  return whole, notes


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
  size = _image_size(_content(paths[0])) if len(paths) == 1 else None
  return dict(sorted(frames.items())), size


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
    arrays = read_arrays(path)
    size = None
    if 'image_size' in arrays:
      width, height = arrays.pop('image_size').ravel()[:2]
      size = int(width), int(height)
    if 'keypoints' not in arrays and len(arrays) != 1:
      raise ValueError(f'no array keypoints among {listed(arrays)}')
    array = arrays.get('keypoints', next(iter(arrays.values())))
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


def _image_size(content: Any) -> tuple[int, int] | None:
  """Finds the size of the images where COCO's annotations tell one for all."""
  images = content.get('images') if isinstance(content, dict) else None
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
) -> Iterator[tuple[int, bool, list[Person]]]:
  """Reads the frames of a clip.

  A file by itself that is a single frame is frame 0, whatever its name. Beside
  files of frames, JSON of another kind is passed over.

  Yields:
    The number of a frame, whether the file also names frames without a person,
    and the people in it.
  """
  names: dict[int, str] = {}
  unknown = []
  for path in paths:
    content = _content(path)
    if not is_known(content):
      unknown.append(path)
      continue
    for name, is_whole, people in _read(content, path):
      alone = len(paths) == 1 and name == path.name
      frame = 0 if alone else _number(name, path)
      if names.setdefault(frame, name) != name:
        raise UserError(
          f'{path}: {names[frame]} and {name} are both frame {frame}; the last'
          ' number of a name must count the frames'
        )
      yield frame, is_whole, people
  if unknown and not names:
    raise UserError(f'{unknown[0]}: {_KNOWN}')


_KNOWN = (
  'not keypoints of a known form; known are the results and annotations of'
  ' COCO, the files of OpenPose, AlphaPose, PoseFlow and MMPose, and lists of'
  ' {"keypoints": [[x, y, confidence], ...]}'
)


def _content(path: pathlib.Path) -> Any:
  """Reads a JSON file; a UserError says why it cannot."""
  try:
    return json.loads(read_bytes(path))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, RecursionError) as error:
    raise UserError(
      f'{path}: cut off, or no JSON ({error}); make it again'
    ) from error


def _read(
  content: Any, path: pathlib.Path
) -> Iterator[tuple[str, bool, list[Person]]]:
  """Reads the name of every frame, and the people in it; see `_numbered`."""
  try:
    for name, is_whole, found in _frames(content, path):
      people = [
        Person(keypoints, number)
        for keypoints, number in (
          (_keypoints(person), _track(person)) for person in found
        )
        if keypoints is not None
      ]
      yield name, is_whole, people
  except (
    *(ValueError, TypeError, AttributeError, RecursionError),
    *(LookupError, ArithmeticError),
  ) as error:
    raise UserError(
      f'{path}: not keypoints of COCO, OpenPose, AlphaPose or MMPose'
      f' ({type(error).__name__}: {error})'
    ) from error


def _is_person(value: Any) -> bool:
  """Tells whether a value describes a person."""
  return isinstance(value, dict) and any(name in value for name in _POINTS)


# How the forms call the keypoints of a person.
_POINTS = ('keypoints', 'pose_keypoints_2d', 'pose_keypoints', 'joints')


def _is_people(value: Any) -> bool:
  """Tells whether a value is a list of the people of a frame, or empty."""
  return isinstance(value, list) and all(map(_is_person, value))


def is_known(content: Any) -> bool:
  """Tells whether JSON is of a form that `_frames` reads."""
  match content:
    case {'people': list()} | {'bodies': list()} | {'instance_info': list()}:
      return True
    case {'annotations': list(), 'images': list()} | {'predictions': list()}:
      return True
    case {'preds': list(), 'image_paths': list()}:
      return True
    case [{'frame_id': _, 'instances': _}, *_] | [{'preds': _}, *_]:
      return True
    case dict():
      frames = content.values()
      return bool(content) and (
        all(map(_is_people, frames))
        or all(
          isinstance(frame, dict) and ('people' in frame or 'bodies' in frame)
          for frame in frames
        )
      )
    case list():
      return _is_people(content) or all(map(_is_people, content))
  return False


def is_frame(content: Any) -> bool:
  """Tells whether JSON of a known form is a frame, not a whole clip."""
  if isinstance(content, dict):
    return 'people' in content or 'bodies' in content
  return _is_people(content) and not (content and 'image_id' in content[0])


def _frames(
  content: Any, path: pathlib.Path
) -> Iterator[tuple[str, bool, list[Any]]]:
  """Finds every frame.

  Yields:
    Its name, whether the form also names frames without a person, and its
    people.
  """
  match content:
    case {'people': people}:  # A frame of OpenPose, or of AlphaPose's 'open'.
      yield path.name, True, people
    case {'bodies': people}:  # A frame of AlphaPose's 'cmu'.
      yield path.name, True, people
    case {'instance_info': frames}:  # A video of MMPose's demos.
      yield from _frames(frames, path)
    case {'predictions': frames}:  # What MMPose's inferencer returns.
      yield from _frames(frames, path)
    case [{'frame_id': _, 'instances': _}, *_]:  # A video of its inferencer.
      for frame in content:
        yield str(int(frame['frame_id'])), True, frame['instances']
    case {'preds': _} | [{'preds': _}, *_]:  # What MMPose 0 dumps of a test.
      batches: list[Any] = content if isinstance(content, list) else [content]
      for batch in batches:
        pairs = zip(batch['image_paths'], batch['preds'], strict=True)
        for name, points in pairs:
          yield name, False, [{'keypoints': points}]
    case {'annotations': people, 'images': images}:  # Annotations of COCO.
      names = {image['id']: image['file_name'] for image in images}
      yield from ((name, True, []) for name in names.values())
      persons = {
        category['id']
        for category in content.get('categories', ())
        if category.get('name') == 'person'
      }
      for person in people:
        # The annotation of a crowd has no keypoints.
        is_other = persons and person.get('category_id') not in persons
        if 'keypoints' in person and not is_other:
          points = _annotated(person['keypoints'])
          yield (
            names[person['image_id']],
            True,
            [person | {'keypoints': points}],
          )
    case [{'image_id': _}, *_]:  # Results of COCO, or a video of AlphaPose.
      categories = {person.get('category_id') for person in content}
      for person in content:
        # COCO's category 1 is the person; others may be hands, or animals.
        if len(categories) == 1 or person.get('category_id') in (1, None):
          yield str(person['image_id']), False, [person]
    case list() if _is_people(content):  # A frame of MMPose.
      yield path.name, True, content
    case list():  # A list with the people of every frame.
      for number, people in enumerate(content):
        yield str(number), True, people
    case dict():  # A video of AlphaPose's 'open' or 'cmu', or of PoseFlow.
      for name, frame in content.items():
        people: Any = frame
        if isinstance(frame, dict):
          people = frame['people' if 'people' in frame else 'bodies']
        yield name, False, people


def _number(name: str, path: pathlib.Path) -> int:
  """Takes the last number of a name, 12 in 'video_0000012_keypoints.json'."""
  stem = pathlib.PurePath(name).stem if not name.isdigit() else name
  digits = re.findall(r'\d+', stem)
  if not digits or name.startswith('-') or len(digits[-1]) > 18:
    raise UserError(f'{path}: frame {name:.40} has no number')
  return int(digits[-1])


def _keypoints(person: dict[str, Any]) -> np.ndarray | None:
  """Reads a person's keypoints, `[J, 3]`; None if there are none.

  A list of numbers holds x, y and confidence by turns. Lists of two numbers, x
  and y, have confidence 1, or that of `keypoint_scores`. What is NaN or null
  was not found.
  """
  name = next((name for name in _POINTS if name in person), 'keypoints')
  value = person[name]
  if value is None or (hasattr(value, '__len__') and not len(value)):
    return None
  if isinstance(value, list):
    lists = [point for point in value if isinstance(point, list)]
    columns = max(map(len, lists), default=0)
    # A keypoint that was not found may be null, or an empty list.
    if lists:
      value = [point or [None] * columns for point in value]
  points = np.asarray(value, np.float64)
  if points.ndim == 1 and len(points) % 3 == 0:
    points = points.reshape(-1, 3)
  if points.ndim != 2 or points.shape[1] not in (2, 3):
    raise ValueError(
      f'{name} of the shape {list(points.shape)}, not [J, 3], [J, 2] or [3 J]'
    )
  if 'keypoint_scores' in person:
    scores = np.asarray(person['keypoint_scores'], np.float64)
    points = np.concatenate([points[:, :2], scores[:, None]], axis=1)
  elif points.shape[1] == 2:
    points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
  points[np.isnan(points).any(axis=1)] = 0
  if not np.isfinite(points).all():
    raise ValueError('a keypoint is not a number')
  low, high = points[:, 2].min(), points[:, 2].max()
  if low < 0 or high > MAX_CONFIDENCE:
    raise ValueError(
      f'confidences from {low:g} to {high:g}, which are no confidences; give x,'
      ' y, confidence'
    )
  return points


def _annotated(keypoints: Any) -> Any:
  """Takes COCO's flag of a keypoint, 1 hidden and 2 visible, as confidence."""
  points = np.asarray(keypoints, np.float64)
  if points.ndim == 1 and len(points) % 3 == 0:
    points = points.reshape(-1, 3)
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
