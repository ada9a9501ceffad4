"""Reads detected people from JSON in all known formats.

These are COCO's (results and annotations), OpenPose's, AlphaPose's, PoseFlow's,
MMPose's and YOLO's. `detections.persons` reads the keypoints of one person,
`detections.keypoint_arrays` reads npy and npz files.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from semgcn_jax.detections.csv_files import read_csv
from semgcn_jax.detections.frame_numbers import number_frames
from semgcn_jax.detections.keypoint_arrays import MAX_SIZE, read_array
from semgcn_jax.detections.persons import (
  NAMES,
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


@dataclasses.dataclass(frozen=True)
class Found:
  """Everybody detected in a clip.

  Attributes:
    frames: {number of a frame: its people}.
    image_size: The width and height of the images in pixels, if the file has
      one for all of them.
    sizes: {number of a frame: width and height}, where images differ in size.
    fps: The frames per second, if the names of frames are times.
  """

  frames: dict[int, list[Detection]]
  image_size: tuple[int, int] | None = None
  sizes: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
  fps: float | None = None


def read_people(paths: Sequence[pathlib.Path]) -> Found:
  """Reads everybody detected in a clip.

  Args:
    paths: One file for all frames, or one for each frame: JSON in a known
      format, arrays (npy, npz; see `read_array`), or DeepLabCut's CSV.

  Raises:
    UserError: A file is damaged or in no known format, or two frames have the
      same number.
  """
  if paths[0].suffix.lower() in ('.npy', '.npz'):
    people, size = read_array(paths[0])
    return Found(dict(enumerate(people)), size)
  if paths[0].suffix.lower() == '.csv':
    return Found(read_csv(paths[0]))
  entries = _entries(paths)
  numbers, fps = _numbers(entries, paths)
  frames: dict[int, list[Detection]] = {}
  for entry in entries:
    frames.setdefault(numbers[entry.name], []).extend(entry.people)
  size, sizes = None, {}
  if len(paths) == 1:
    of_images = _image_sizes(_content(paths[0]))
    if len({*of_images.values()}) == 1:
      size = next(iter(of_images.values()))
    else:
      sizes = {numbers[n]: s for n, s in of_images.items() if n in numbers}
  return Found(dict(sorted(frames.items())), size, sizes, fps)


def _image_sizes(content: Any) -> dict[str, tuple[int, int]]:
  """Returns the size of each image by name, if COCO's annotations have all."""
  images = content.get('images') if isinstance(content, dict) else None
  sizes: dict[str, tuple[int, int]] = {}
  for image in images if isinstance(images, list) else ():
    if not isinstance(image, dict):
      return {}
    width, height = image.get('width'), image.get('height')
    if not (isinstance(width, int) and isinstance(height, int)):
      return {}
    if not (0 < width <= MAX_SIZE and 0 < height <= MAX_SIZE):
      return {}
    sizes[str(image.get('file_name', image.get('id')))] = width, height
  return sizes


@dataclasses.dataclass(frozen=True)
class Entry:
  """A frame, or a part of one, as a file lists it.

  Attributes:
    source: The file.
    name: The name of the frame.
    is_whole: Whether the file also lists frames without a person.
    people: The people in it.
  """

  source: pathlib.Path
  name: str
  is_whole: bool
  people: list[Detection]


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
  entries = _entries(paths)
  numbers, _ = _numbers(entries, paths)
  for entry in entries:
    yield numbers[entry.name], entry.is_whole, entry.people


def _numbers(
  entries: Sequence[Entry], paths: Sequence[pathlib.Path]
) -> tuple[dict[str, int], float | None]:
  """Numbers the frames; see `number_frames`."""
  names = {entry.name for entry in entries}
  if len(paths) == 1 and names <= {paths[0].name}:
    return dict.fromkeys(names, 0), None
  return number_frames((entry.name for entry in entries), paths[0])


def _entries(paths: Sequence[pathlib.Path]) -> list[Entry]:
  """Reads the frames of a clip; see `numbered`."""
  entries: list[Entry] = []
  patterns, unsure, unknown = set(), [], []
  for path in paths:
    content = _content(path)
    if not is_known(content):
      unknown.append(path)
    elif len(paths) > 1 and _says_little(content):
      unsure.append((path, content))
    else:
      patterns.add(_pattern(path))
      entries += _read(content, path)
  # An empty list is a frame without people if it is named like the others.
  for path, content in unsure:
    if _pattern(path) in patterns or (
      not patterns and re.search(r'\d', path.stem)
    ):
      entries += _read(content, path)
  if unknown and not entries:
    raise UserError(f'{unknown[0]}: not keypoints in a known format; {_KNOWN}')
  return entries


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
    content = json.loads(read_bytes(path))
    # A text such as YOLO's result.to_json(), written by json.dump.
    if isinstance(content, str):
      content = json.loads(content)
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
  match content:
    case {'data': wrapped} | {'results': wrapped} if len(content) == 1:
      return wrapped
  return content


def _read(content: Any, path: pathlib.Path) -> list[Entry]:
  """Reads the frames in a file; see `numbered`."""
  entries = []
  try:
    for name, is_whole, found in _frames(content, path):
      people = [
        read_person(value) for value in found or () if value is not None
      ]
      people = [person for person in people if person is not None]
      entries.append(Entry(path, name, is_whole, people))
  except (
    *(ValueError, TypeError, AttributeError, RecursionError),
    *(LookupError, ArithmeticError),
  ) as error:
    raise UserError(
      f'{path}: not keypoints of COCO, OpenPose, AlphaPose, PoseFlow, MMPose or'
      f' YOLO ({type(error).__name__}: {shortened(error, 240)})'
    ) from error
  return entries


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
      names = _names_of_mmpose(content)
      for name, is_whole, people in _frames(frames, path):
        named = [p and {NAMES: names} | p for p in people or ()]
        yield name, is_whole, named if names else people
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
      categories = content.get('categories') or ()
      named = {c.get('id'): c.get('keypoints') for c in categories}
      for person in _persons(people, categories):
        points = annotated(person['keypoints'])
        person = person | {'keypoints': points}
        if parts := named.get(person.get('category_id')):
          person[NAMES] = parts
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


def _names_of_mmpose(content: dict[str, Any]) -> list[str] | None:
  """Returns the names of keypoints in a file of MMPose, if it has them."""
  match content.get('meta_info'):
    case {'keypoint_id2name': dict() as names}:
      ordered = sorted(names.items(), key=lambda item: int(item[0]))
      return [name for _, name in ordered]
    case {'keypoint_id2name': list() as names}:
      return names
  return None


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
