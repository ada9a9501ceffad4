"""Reads detected people from JSON in all known formats.

These are COCO's (results and annotations), OpenPose's, AlphaPose's, PoseFlow's,
MMPose's and YOLO's. `detections.persons` reads the keypoints of one person,
`detections.keypoint_arrays` reads npy and npz files.
"""

import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from semgcn_jax.detections.keypoint_arrays import MAX_SIZE, read_array
from semgcn_jax.detections.persons import (
  Detection,
  annotated,
  is_person,
  read_person,
  whole,
)
from semgcn_jax.errors import UserError, shortened
from semgcn_jax.files import read_bytes
from semgcn_jax.geometry.joint_sets import BY_COUNT

_KNOWN = (
  'known are the results and annotations of COCO, the files of OpenPose,'
  ' AlphaPose, PoseFlow, MMPose and YOLO (result.to_json()), and lists of'
  ' {"keypoints": [[x, y, confidence], ...]}'
)


def read_people(
  paths: Sequence[pathlib.Path],
) -> tuple[dict[int, list[Detection]], tuple[int, int] | None]:
  """Reads everybody detected in a clip.

  Args:
    paths: One file for all frames, or one for each frame: JSON in a known
      format, or arrays (npy, npz); see `read_array`.

  Returns:
    {number of a frame: its people}, and the width and height of the images in
    pixels, if a file has them.

  Raises:
    UserError: A file is damaged or in no known format, or two frames have the
      same number.
  """
  if paths[0].suffix.lower() in ('.npy', '.npz'):
    people, size = read_array(paths[0])
    return dict(enumerate(people)), size
  frames: dict[int, list[Detection]] = {}
  for frame, _, people in numbered(paths):
    frames.setdefault(frame, []).extend(people)
  size = _image_size(_content(paths[0])) if len(paths) == 1 else None
  return dict(sorted(frames.items())), size


def _image_size(content: Any) -> tuple[int, int] | None:
  """Returns the image size if COCO's annotations have one for all images."""
  images = content.get('images') if isinstance(content, dict) else None
  sizes = set()
  for image in images if isinstance(images, list) else ():
    if not isinstance(image, dict):
      return None
    width, height = image.get('width'), image.get('height')
    if not (isinstance(width, int) and isinstance(height, int)):
      return None
    sizes.add((width, height))
  if len(sizes) != 1:
    return None
  size = sizes.pop()
  return size if all(0 < side <= MAX_SIZE for side in size) else None


def numbered(
  paths: Sequence[pathlib.Path],
) -> Iterator[tuple[int, bool, list[Detection]]]:
  """Reads the frames of a clip.

  A lone file with a single frame is frame 0, whatever its name. Beside files of
  frames, other JSON is skipped.

  Args:
    paths: One file for all frames, or one for each frame.

  Yields:
    The number of a frame, whether the file also lists frames without a person,
    and the people in it.

  Raises:
    UserError: A file is damaged or in no known format, or two frames have the
      same number.
  """
  names: dict[int, str] = {}
  patterns, unsure, unknown = set(), [], []
  for path in paths:
    content = _content(path)
    if not is_known(content):
      unknown.append(path)
    elif len(paths) > 1 and _says_little(content):
      unsure.append((path, content))
    else:
      patterns.add(_pattern(path))
      yield from _checked(content, path, names, alone=len(paths) == 1)
  # An empty list is a frame without people if it is named like the others.
  for path, content in unsure:
    if _pattern(path) in patterns or (
      not patterns and re.search(r'\d', path.stem)
    ):
      yield from _checked(content, path, names)
  if unknown and not names:
    raise UserError(f'{unknown[0]}: not keypoints in a known format; {_KNOWN}')


def _checked(
  content: Any, path: pathlib.Path, names: dict[int, str], alone: bool = False
) -> Iterator[tuple[int, bool, list[Detection]]]:
  """Numbers the frames of a file, which must differ; see `numbered`."""
  for name, is_whole, people in _read(content, path):
    is_only = alone and name == path.name
    frame = 0 if is_only else _number(name, path)
    if names.setdefault(frame, name) != name:
      raise UserError(
        f'{path}: {names[frame]:.40} and {name:.40} are both frame {frame};'
        ' the last number in a name must count the frames'
      )
    yield frame, is_whole, people


def _says_little(content: Any) -> bool:
  """Whether known JSON has no people, nor shows that it is a frame."""
  if isinstance(content, dict) and not is_frame(content):
    return all(value in ([], None) for value in content.values())
  return content == []


def _pattern(path: pathlib.Path) -> str:
  """Returns a file name with its last number, the frame's, replaced by 0."""
  return re.sub(r'\d+(?=\D*$)', '0', path.stem)


def _content(path: pathlib.Path) -> Any:
  """Reads a JSON file; raises a UserError if it cannot."""
  try:
    return json.loads(read_bytes(path))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, RecursionError) as error:
    reason = f'cut off, or no JSON ({shortened(error, 100)}); make it again'
    if isinstance(error, json.JSONDecodeError) and error.msg == 'Extra data':
      reason = (
        f'continues after its first JSON value, in line {error.lineno}; a file'
        ' must be one value, such as a list'
      )
    raise UserError(f'{path}: {reason}') from error


def _read(
  content: Any, path: pathlib.Path
) -> Iterator[tuple[str, bool, list[Detection]]]:
  """Reads the name of each frame, and the people in it; see `numbered`."""
  try:
    for name, is_whole, found in _frames(content, path):
      people = [
        read_person(value) for value in found or () if value is not None
      ]
      yield name, is_whole, [person for person in people if person is not None]
  except (
    *(ValueError, TypeError, AttributeError, RecursionError),
    *(LookupError, ArithmeticError),
  ) as error:
    raise UserError(
      f'{path}: not keypoints of COCO, OpenPose, AlphaPose, PoseFlow, MMPose or'
      f' YOLO ({type(error).__name__}: {shortened(error, 240)})'
    ) from error


def _is_people(value: Any) -> bool:
  """Whether a value is a list of the people in a frame, or empty."""
  return value is None or (
    isinstance(value, list) and all(map(is_person, value))
  )


def _are_objects(values: Any) -> bool:
  """Whether a value is a list of objects, some of them possibly null."""
  return isinstance(values, list) and all(
    value is None or isinstance(value, dict) for value in values
  )


def is_known(content: Any) -> bool:
  """Whether JSON is in a known format."""
  match content:
    case {'people': people} | {'bodies': people}:
      return _are_objects(people)
    case {'instance_info': frames} | {'predictions': frames}:
      return isinstance(frames, list) and is_known(frames)
    case {'annotations': list(), 'images': list()}:
      return True
    case {'preds': list(), 'image_paths': list()}:
      return True
    case [{'frame_id': _, 'instances': _}, *_] | [{'preds': _}, *_]:
      return True
    case dict():
      frames = [_people_of(frame) for frame in content.values()]
      # Without people, only the names can show that these are frames.
      return (
        bool(content)
        and all(map(_is_people, frames))
        and (
          any(frames)
          or any(isinstance(frame, dict) for frame in content.values())
          or all(re.search(r'\d', name) for name in content)
        )
      )
    case list():
      return _is_people(content) or all(map(_is_people, content))
  return False


def is_frame(content: Any) -> bool:
  """Whether known JSON is a frame, not a whole clip."""
  if isinstance(content, dict):
    return 'people' in content or 'bodies' in content
  return _is_people(content) and not (content and 'image_id' in content[0])


def _people_of(frame: Any) -> Any:
  """Returns the people in an object's entry for a frame."""
  match frame:
    case {'people': people} | {'bodies': people}:  # AlphaPose's 'open', 'cmu'.
      return people
    case {'num_boxes': _}:  # PoseFlow's own files, {number: person}.
      return [person for person in frame.values() if is_person(person)]
  return frame


def _frames(
  content: Any, path: pathlib.Path
) -> Iterator[tuple[str, bool, list[Any] | None]]:
  """Yields each frame's name, whether empty ones are listed, and its people."""
  match content:
    # A frame of OpenPose or AlphaPose's 'open', or of AlphaPose's 'cmu'.
    case {'people': people} | {'bodies': people}:
      yield path.name, True, people
    # A video of MMPose's demos, or what its inferencer returns.
    case {'instance_info': frames} | {'predictions': frames}:
      yield from _frames(frames, path)
    case [{'frame_id': _, 'instances': _}, *_]:  # A video of its inferencer.
      for frame in content:
        number = whole(frame['frame_id'], 'frame_id')
        yield str(number), True, frame['instances']
    case {'preds': _} | [{'preds': _}, *_]:  # A test dumped by MMPose 0.
      batches: list[Any] = content if isinstance(content, list) else [content]
      for batch in batches:
        yield from _of_batch(batch['image_paths'], batch['preds'])
    case {'annotations': people, 'images': images}:  # Annotations of COCO.
      names = {image['id']: image['file_name'] for image in images}
      yield from ((name, True, []) for name in names.values())
      for person in _persons(people, content.get('categories') or ()):
        points = annotated(person['keypoints'])
        person = person | {'keypoints': points}
        yield names[person['image_id']], True, [person]
    case [{'image_id': _}, *_]:  # Results of COCO, or a video of AlphaPose.
      for person in _persons(content, ()):
        name = person['image_id']
        if not isinstance(name, str):
          name = str(whole(name, 'image_id'))
        yield name, False, [person]
    case list() if _is_people(content):  # A frame of MMPose or YOLO.
      yield path.name, True, content
    case list():  # A list with the people of every frame.
      for number, people in enumerate(content):
        yield str(number), True, people
    case dict():  # A video of AlphaPose's 'open' or 'cmu', or of PoseFlow.
      for name, frame in content.items():
        yield name, False, _people_of(frame)


def _of_batch(
  names: list[str], preds: list[Any]
) -> Iterator[tuple[str, bool, list[Any]]]:
  """Yields the frames of a batch of MMPose 0; see `_frames`.

  A bottom-up network outputs one image at a time, with all its people.
  """
  if len(names) == 1 and len(preds) != 1:
    preds = [preds]
  for name, points in zip(names, preds, strict=True):
    several = not points or isinstance(points[0][0], list)
    people = points if several else [points]
    yield name, False, [{'keypoints': person} for person in people or ()]


def _persons(people: Sequence[Any], categories: Any) -> list[dict[str, Any]]:
  """Selects the persons in COCO's results; others are hands, or animals.

  Args:
    people: The results or annotations. A crowd's has no keypoints.
    categories: The categories described by annotations.
  """
  people = [
    person for person in people if person is not None and 'keypoints' in person
  ]
  there = {person.get('category_id') for person in people} - {None}
  chosen = {
    category['id']
    for category in categories
    if str(category.get('name')).strip().lower() in ('person', 'human')
  }
  if not chosen and len(there) > 1:
    # Without names: COCO's category 1 is the person, or 0 if counting from
    # there. It has as many keypoints as a body.
    order = [c for c in (0, 1) if c in there]
    order += sorted(there - {0, 1}, key=str)
    bodies = [c for c in order if _joints_of(people, c) in BY_COUNT]
    chosen = {[*bodies, *(c for c in order if c == 1), *order][0]}
  if not chosen:
    return people
  return [p for p in people if p.get('category_id') in {*chosen, None}]


def _joints_of(people: list[dict[str, Any]], category: Any) -> int:
  """Counts the keypoints of the first person in a category who has any."""
  for person in people:
    if person.get('category_id') == category:
      found = read_person(
        person | {'keypoints': annotated(person['keypoints'])}
      )
      if found is not None:
        return len(found.keypoints)
  return 0


def _number(name: str, path: pathlib.Path) -> int:
  """Returns a name's last number, 12 in 'video_0000012_keypoints.json'."""
  # The suffix of img.0001 is its number.
  ending = pathlib.PurePath(name).suffix
  stem = name if ending[1:].isdigit() else pathlib.PurePath(name).stem
  if re.fullmatch(r'\d+\.\d+', name):
    raise UserError(f'{path}: frame {name:.40} is not a whole number')
  digits = re.findall(r'\d+', stem)
  if not digits or name.startswith('-') or len(digits[-1]) > 18:
    raise UserError(f'{path}: frame {name:.40} has no number')
  return int(digits[-1])
