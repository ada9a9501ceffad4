"""The poses of people in clips, and the files that hold them."""

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from semgcn_jax.detections.clips import PersonPoses
from semgcn_jax.errors import UserError, listed
from semgcn_jax.files import read_arrays, read_bytes
from semgcn_jax.geometry.skeletons import H36M

# The version of the written files; docs/lifting.md describes them.
FORMAT, VERSION = 'semgcn_jax poses', 1
READABLE = ('.json', '.npz')


# What a file holds of each person, beside frames and poses: {name in the file:
# (name of the attribute, shape of a frame's)}.
_ARRAYS = {
  'expected_error': ('errors', (16,)),
  'keypoints': ('keypoints', (16, 3)),
  'places': ('places', (3,)),
}


def write_poses(
  people: Sequence[PersonPoses], path: pathlib.Path, details: dict[str, Any]
) -> bytes:
  """Makes the content of a JSON, npz or CSV file, by the ending of the path.

  Args:
    people: The poses of Human3.6M's 16 joints.
    path: The file that will hold them.
    details: What else to tell, such as the checkpoint.
  """
  header = {
    'format': FORMAT,
    'version': VERSION,
    'joints': list(H36M.joints),
    'parents': list(H36M.parents),
    'unit': 'metres',
    'axes': 'x right, y down, z forward; the pelvis is the origin',
    **details,
  }
  write = {'.json': _as_json, '.npz': _as_npz, '.csv': _as_csv}[path.suffix]
  return write(people, header)


def _array(person: PersonPoses, name: str) -> np.ndarray:
  """Gets an array of a person by its name in the file; NaN if not known."""
  attribute, shape = _ARRAYS[name]
  array = getattr(person, attribute)
  if array is None:
    return np.full((len(person.frames), *shape), np.nan, np.float32)
  return array


def _as_json(people: Sequence[PersonPoses], header: dict[str, Any]) -> bytes:
  """Makes JSON, in which null stands for what is not known."""

  def numbers(array):
    rounded = np.round(array.astype(float), 4)
    if rounded.ndim > 1:
      return [numbers(part) for part in rounded]
    return [x if np.isfinite(x) else None for x in rounded.tolist()]

  header['people'] = [
    {
      'clip': person.clip,
      'person': person.person,
      'image_size': list(person.image_size),
      'frames': person.frames.tolist(),
      'poses': numbers(person.poses),
      **{name: numbers(_array(person, name)) for name in _ARRAYS},
    }
    for person in people
  ]
  return (json.dumps(header, allow_nan=False) + '\n').encode()


def _as_npz(people: Sequence[PersonPoses], header: dict[str, Any]) -> bytes:
  """Makes an npz with a row for each person and frame."""

  def joined(arrays, shape, kind: type = np.float32):
    arrays = list(arrays)
    return np.concatenate(arrays) if arrays else np.zeros((0, *shape), kind)

  arrays: dict[str, Any] = dict(
    header=json.dumps(header),
    clip=np.array([p.clip for p in people for _ in p.frames], str),
    person=np.array([p.person for p in people for _ in p.frames], str),
    frame=joined((p.frames for p in people), (), int),
    poses=joined((p.poses for p in people), (16, 3)),
    image_size=joined(
      (np.tile(p.image_size, (len(p.frames), 1)) for p in people), (2,), int
    ),
    **{
      name: joined((_array(p, name) for p in people), shape)
      for name, (_, shape) in _ARRAYS.items()
    },
  )
  file = io.BytesIO()
  np.savez_compressed(file, **arrays)
  return file.getvalue()


def _as_csv(people: Sequence[PersonPoses], header: dict[str, Any]) -> bytes:
  """Makes CSV with a line for each joint; the first line is a comment."""
  file = io.StringIO()
  file.write('# ' + json.dumps(header) + '\n')
  writer = csv.writer(file, lineterminator='\n')
  writer.writerow(
    ('clip', 'person', 'frame', 'joint', 'x', 'y', 'z', 'expected_error')
  )

  def text(x):
    return f'{x:.4f}' if np.isfinite(x) else ''

  for person in people:
    for frame, pose, errors in zip(
      person.frames,
      person.poses,
      _array(person, 'expected_error'),
      strict=True,
    ):
      for joint, place, error in zip(H36M.joints, pose, errors, strict=True):
        writer.writerow(
          (
            *(person.clip, person.person, frame, joint),
            *map(text, place),
            text(error),
          )
        )
  # Names of files may hold what is no text.
  return file.getvalue().encode(errors='replace')


def read_poses(path: pathlib.Path) -> tuple[list[PersonPoses], dict[str, Any]]:
  """Reads a JSON or npz file that `write_poses` has made.

  Returns:
    The poses, and the header with its details and `fps`.

  Raises:
    UserError: The file cannot be read, or holds something else.
  """
  if path.suffix not in READABLE:
    raise UserError(
      f'{path}: poses are read from {listed(READABLE)}, as predict.py writes'
      ' them'
    )
  try:
    if path.suffix == '.json':
      header = json.loads(read_bytes(path))
      parts = header.pop('people')
    else:
      arrays = read_arrays(path)
      header = json.loads(str(arrays.pop('header')))
      parts = _split(arrays)
    if header['format'] != FORMAT or list(H36M.joints) != header['joints']:
      raise ValueError('of another format')
    if header['version'] != VERSION:
      raise ValueError(f'version {header["version"]}, not {VERSION}')
    header['fps'] = float(header.get('fps', 30.0))
    if not 0 < header['fps'] < 1e6:
      raise ValueError(f'fps is {header["fps"]}')
    people = [_person(part) for part in parts]
    names = [(person.clip, person.person) for person in people]
    if len(set(names)) < len(names):
      raise ValueError('two people of a clip have the same name')
    return people, header
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


def _split(arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
  """Splits the rows of an npz by clip and person."""
  names = [
    *zip(arrays['clip'].tolist(), arrays['person'].tolist(), strict=True)
  ]
  parts = []
  for clip, person in dict.fromkeys(names):
    rows = [row for row, name in enumerate(names) if name == (clip, person)]
    part = {key: array[rows] for key, array in arrays.items()}
    part |= {'clip': clip, 'person': person, 'frames': part['frame']}
    parts.append(part | {'image_size': part['image_size'][0]})
  return parts


def _person(part: dict[str, Any]) -> PersonPoses:
  """Makes a person's poses of what a file holds of it."""
  frames = np.asarray(part['frames'], int)
  size = np.asarray(part['image_size'], int)
  if frames.ndim != 1 or (np.diff(frames) <= 0).any():
    raise ValueError('frames must ascend')
  if size.shape != (2,) or not ((size > 0) & (size < 1e6)).all():
    raise ValueError('image_size must be two numbers above 0')
  found = {}
  for name, (attribute, shape) in {
    'poses': ('poses', (16, 3)),
    **_ARRAYS,
  }.items():
    if name in part:
      array = np.asarray(part[name], np.float32)
      if len(frames) and array.shape != (len(frames), *shape):
        raise ValueError(f'{name} has the shape {array.shape}')
      # What is not finite is not known.
      array = np.where(np.isfinite(array), array, np.nan)
      found[attribute] = array.reshape(len(frames), *shape)
  return PersonPoses(
    clip=str(part['clip']),
    person=str(part['person']),
    frames=frames,
    image_size=(int(size[0]), int(size[1])),
    **found,
  )
