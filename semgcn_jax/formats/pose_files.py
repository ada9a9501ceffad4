"""Reads and writes files of poses: JSON, npz and CSV."""

import csv
import dataclasses
import io
import json
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semgcn_jax.config.choices import READABLE_POSES
from semgcn_jax.detections.clips import Clip, Person, View
from semgcn_jax.errors import UserError, listed
from semgcn_jax.files import open_plain, read_arrays, read_bytes
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import FEET
from semgcn_jax.geometry.skeletons import H36M, Skeleton, to_tuple

# docs/lifting.md describes the files.
FORMAT, VERSION = 'semgcn_jax poses', 1

_J = -1  # Stands for the number of joints.
# The arrays of each person besides frames and poses: {name in the file: (name
# of the attribute, shape per frame)}.
_ARRAYS = {
  'expected_error': ('errors', (_J,)),
  'keypoints': ('keypoints', (_J, 3)),
  'places': ('places', (3,)),
}
# Those that only solved clips have; feet, if the detector marks them.
_SOLVED = {'feet': ('feet', (4, 3)), 'contacts': ('contacts', (2,))}
# Digits in text; a solved body has bones of constant length.
_DIGITS = {'poses': 6, 'places': 6, 'feet': 6, 'contacts': 0}
_OTHER_DIGITS = 4
_Row = tuple[Clip, Person]


def write_poses(
  clips: Sequence[Clip], path: pathlib.Path, details: Mapping[str, Any]
) -> bytes:
  """Returns the content of a pose file.

  Args:
    clips: Clips of one skeleton, all of one frame rate.
    path: The file; its ending, .json, .npz or .csv, determines the format.
    details: More fields for the header, such as the checkpoint.
  """
  skeleton = clips[0].skeleton if clips else H36M
  root = skeleton.joints[skeleton.root]
  root = 'pelvis' if skeleton == H36M else root
  header = {
    'format': FORMAT,
    'version': VERSION,
    'joints': list(skeleton.joints),
    'parents': list(skeleton.parents),
    'unit': 'metres',
    'axes': f'x right, y down, z forward; the {root} is the origin',
    **details,
  }
  if skeleton != H36M:
    header |= {'left': skeleton.left, 'right': skeleton.right}
    header['skeleton_unit'] = skeleton.unit
  if clips:
    header['fps'] = clips[0].fps
  rows = [(clip, person) for clip in clips for person in clip.people]
  return _WRITERS[path.suffix](rows, header)


def _array(person: Person, name: str) -> np.ndarray:
  """Returns an array of a person by its name in the file; NaN if unknown."""
  attribute, shape = (_ARRAYS | _SOLVED)[name]
  array = getattr(person, attribute)
  if array is None:
    shape = _sized(shape, person.poses.shape[1])
    return np.full((len(person.frames), *shape), np.nan, np.float32)
  return array


def _sized(shape: tuple[int, ...], joints: int) -> tuple[int, ...]:
  """Puts the number of joints into a shape of `_ARRAYS`."""
  return tuple(joints if size == _J else size for size in shape)


def _as_json(rows: Sequence[_Row], header: dict[str, Any]) -> bytes:
  """Encodes JSON, with null for unknown numbers."""

  def numbers(array, name):
    rounded = np.round(array.astype(float), _DIGITS.get(name, _OTHER_DIGITS))
    if rounded.ndim > 1:
      return [numbers(part, name) for part in rounded]
    return [x if np.isfinite(x) else None for x in rounded.tolist()]

  header['people'] = [
    {
      'clip': clip.name,
      'person': person.name,
      'image_size': list(clip.image_size),
      'frames': person.frames.tolist(),
      'poses': numbers(person.poses, 'poses'),
      **{
        name: numbers(_array(person, name), name)
        for name, (attribute, _) in (_ARRAYS | _SOLVED).items()
        if name in _ARRAYS or getattr(person, attribute) is not None
      },
      **({'view': dataclasses.asdict(clip.view)} if clip.view else {}),
      **({'mirrored': True} if person.is_mirrored else {}),
    }
    for clip, person in rows
  ]
  return (json.dumps(header, allow_nan=False) + '\n').encode()


def _as_npz(rows: Sequence[_Row], header: dict[str, Any]) -> bytes:
  """Encodes an npz with a row for each person and frame."""

  def joined(arrays, shape, kind: type = np.float32):
    arrays, shape = list(arrays), _sized(shape, len(header['joints']))
    return np.concatenate(arrays) if arrays else np.zeros((0, *shape), kind)

  arrays: dict[str, Any] = dict(
    header=json.dumps(header),
    clip=np.array([c.name for c, p in rows for _ in p.frames], str),
    person=np.array([p.name for _, p in rows for _ in p.frames], str),
    frame=joined((p.frames for _, p in rows), (), int),
    poses=joined((p.poses for _, p in rows), (_J, 3)),
    image_size=joined(
      (np.tile(c.image_size, (len(p.frames), 1)) for c, p in rows), (2,), int
    ),
    **{
      name: joined((_array(p, name) for _, p in rows), shape)
      for name, (_, shape) in (_ARRAYS | _SOLVED).items()
    },
    view=joined(
      (np.tile(_view_row(c), (len(p.frames), 1)) for c, p in rows), (6,)
    ),
  )
  if any(person.is_mirrored for _, person in rows):
    arrays['mirrored'] = np.concatenate(
      [np.full(len(p.frames), p.is_mirrored) for _, p in rows]
    )
  file = io.BytesIO()
  np.savez_compressed(file, **arrays)
  return file.getvalue()


def _view_row(clip: Clip) -> np.ndarray:
  """Returns the view of a clip as a row of an npz, `[6]`; NaN if unknown."""
  if clip.view is None:
    return np.full(6, np.nan)
  view = clip.view
  return np.array(
    [view.focal_length, *view.center, view.pitch, view.roll, view.height]
  )


def _as_csv(rows: Sequence[_Row], header: dict[str, Any]) -> bytes:
  """Encodes CSV with a line for each joint, after the header as a comment."""
  file = io.StringIO()
  file.write('# ' + json.dumps(header) + '\n')
  writer = csv.writer(file, lineterminator='\n')
  writer.writerow(
    ('clip', 'person', 'frame', 'joint', 'x', 'y', 'z', 'expected_error')
  )

  def text(x):
    return f'{x:.{_DIGITS["poses"]}f}' if np.isfinite(x) else ''

  for clip, person in rows:
    joints, poses = clip.skeleton.joints, person.poses
    errors_of = _array(person, 'expected_error')
    if person.feet is not None:
      joints = *joints, *FEET
      poses = np.concatenate([poses, person.feet], axis=1)
      unknown = np.full((len(poses), len(FEET)), np.nan)
      errors_of = np.concatenate([errors_of, unknown], axis=1)
    for frame, pose, errors in zip(
      person.frames, poses, errors_of, strict=True
    ):
      for joint, place, error in zip(joints, pose, errors, strict=True):
        numbers = map(text, (*place, error))
        named = _cell(clip.name), _cell(person.name)
        writer.writerow((*named, frame, joint, *numbers))
  # File names may contain characters that cannot be encoded.
  return file.getvalue().encode(errors='replace')


def _cell(name: str) -> str:
  """Quotes a name that spreadsheets would take for a formula."""
  return (
    f"'{name}" if name.startswith(('=', '+', '-', '@', '\t', '\r')) else name
  )


_WRITERS = {'.json': _as_json, '.npz': _as_npz, '.csv': _as_csv}


def read_poses(path: pathlib.Path) -> tuple[list[Clip], dict[str, Any]]:
  """Reads a JSON or npz file that `write_poses` wrote.

  Returns:
    The clips, and the header with its details.

  Raises:
    UserError: The file cannot be read, or is not a pose file.
  """
  if path.suffix not in READABLE_POSES:
    raise UserError(
      f'{path}: poses are read from {listed(READABLE_POSES)}, as predict.py'
      ' writes them'
    )
  try:
    if path.suffix == '.json':
      header = json.loads(read_bytes(path))
      parts = header.pop('people')
    else:
      arrays = read_arrays(path)
      header = json.loads(str(arrays.pop('header')))
      parts = _split(arrays)
    if header['format'] != FORMAT:
      raise ValueError('another format')
    if header['version'] != VERSION:
      raise ValueError(f'version {header["version"]}, not {VERSION}')
    fps = float(header.get('fps', rates.DEFAULT))
    if not 0 < fps < np.inf:
      raise ValueError(f'fps is {fps}')
    # Older versions wrote rates beyond these.
    header['fps'] = float(np.clip(fps, rates.LOWEST, rates.HIGHEST))
    of_clips: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
      of_clips.setdefault(str(part['clip']), []).append(part)
    skeleton = _skeleton(header)
    known: dict[str, Any] = {
      'fps': header['fps'],
      'source': str(path),
      'skeleton': skeleton,
    }
    clips = [_clip(*named, known) for named in of_clips.items()]
    return clips, header
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}') from error
  except (
    *(AttributeError, IndexError, KeyError, OverflowError, RecursionError),
    *(TypeError, ValueError),
  ) as error:
    raise UserError(
      f'{path}: not poses as predict.py writes them ({error!r}); name the'
      ' output of predict.py'
    ) from error


def _skeleton(header: dict[str, Any]) -> Skeleton:
  """Returns the skeleton that a header describes."""
  if list(H36M.joints) == header['joints']:
    return H36M
  names = ('joints', 'parents', 'left', 'right')
  fields: dict[str, Any] = {n: to_tuple(header.get(n, ())) for n in names}
  try:
    return Skeleton(**fields, unit=header.get('skeleton_unit', 1.0))
  except UserError as error:
    raise ValueError(str(error)) from error


def is_pose_file(path: pathlib.Path) -> bool:
  """Returns whether a file begins like one of `write_poses`."""
  try:
    with open_plain(path) as file:
      if path.suffix == '.npz':
        with zipfile.ZipFile(file) as archive:
          return 'header.npy' in archive.namelist()
      return FORMAT.encode() in file.read(100)
  except (OSError, ValueError, zipfile.BadZipFile):
    return False  # Reading it will report the error.


def _split(arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
  """Splits the rows of an npz by clip and person."""
  columns = (arrays[name].tolist() for name in ('clip', 'person'))
  names = list(zip(*columns, strict=True))
  of_people: dict[tuple[str, str], list[int]] = {}
  for row, name in enumerate(names):
    of_people.setdefault(name, []).append(row)
  parts = []
  for (clip, person), rows in of_people.items():
    part: dict[str, Any] = {key: a[rows] for key, a in arrays.items()}
    part |= {'clip': clip, 'person': person, 'frames': part['frame']}
    # Files of older versions have no view.
    focal, x, y, *others = part.pop('view', np.full((1, 6), np.nan))[0].tolist()
    if np.isfinite(focal):
      angles = dict(zip(('pitch', 'roll', 'height'), others, strict=True))
      part['view'] = {'focal_length': focal, 'center': (x, y), **angles}
    parts.append(part | {'image_size': part['image_size'][0]})
  return parts


def _clip(
  name: str, parts: Sequence[dict[str, Any]], known: dict[str, Any]
) -> Clip:
  """Builds a clip from the entries of its people and what is known of all."""
  joints = known['skeleton'].num_joints
  people = tuple(_person(part, joints) for part in parts)
  if len({person.name for person in people}) < len(people):
    raise ValueError('two people of a clip have the same name')
  sizes = np.asarray([part['image_size'] for part in parts], int)
  if sizes.shape[1:] != (2,) or not ((sizes > 0) & (sizes < 1e6)).all():
    raise ValueError('image_size must be two numbers above 0')
  width, height = sizes[0].tolist()
  view = None
  if parts[0].get('view') is not None:
    numbers = dict(parts[0]['view'])
    x, y = map(float, numbers.pop('center'))
    view = View(center=(x, y), **{k: float(v) for k, v in numbers.items()})
    others = view.focal_length, view.pitch, view.roll, view.height
    if not np.isfinite([x, y, *others]).all() or view.focal_length <= 0:
      raise ValueError('view must be finite numbers')
  return Clip(name, people, image_size=(width, height), view=view, **known)


def _person(part: dict[str, Any], joints: int) -> Person:
  """Builds a person from an entry."""
  frames = np.asarray(part['frames'], int)
  if frames.ndim != 1 or (np.diff(frames) <= 0).any():
    raise ValueError('frames must ascend')
  found: dict[str, Any] = {}
  arrays = {'poses': ('poses', (_J, 3)), **_ARRAYS, **_SOLVED}
  for name, (attribute, shape) in arrays.items():
    shape = _sized(shape, joints)
    if part.get(name) is not None or name == 'poses':
      array = np.asarray(part[name], np.float32)
      if len(frames) and array.shape != (len(frames), *shape):
        raise ValueError(f'{name} has the shape {array.shape}')
      # Infinite numbers are unknown, too.
      array = np.where(np.isfinite(array), array, np.nan)
      found[attribute] = array.reshape(len(frames), *shape)
  for name in _SOLVED:  # In an npz, unknown ones are NaN.
    if name in found and not np.isfinite(found[name]).any():
      del found[name]
  if 'contacts' in found:
    found['contacts'] = found['contacts'] > 0.5
  found['is_mirrored'] = bool(np.any(part.get('mirrored', False)))
  return Person(str(part['person']), frames, **found)
