"""Files in VideoPose3D's layout: npz archives of pickled dicts, read safely."""

import pathlib
import pickle
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from semgcn_jax.errors import UserError

# {subject: {action: [T, J, 3]}} and {subject: {action: [one [T, J, 2] each]}}.
Poses3D = dict[str, dict[str, np.ndarray]]
Poses2D = dict[str, dict[str, list[np.ndarray]]]


def read_poses_3d(path: pathlib.Path) -> Poses3D:
  """Reads `positions_3d`: {subject: {action: [T, J, 3]}}, metres, world frame.

  Raises:
    UserError: no such file, cut off, not in this layout, or it holds anything
      but arrays, dicts, lists, strings and numbers; none of it is run.
  """
  positions = _read(path, 'positions_3d')
  return {
    subject: {
      str(action): _array(poses, 3, path, subject, action)
      for action, poses in _dict(actions, path, subject).items()
    }
    for subject, actions in _dict(positions, path, 'positions_3d').items()
  }


def read_poses_2d(path: pathlib.Path) -> Poses2D:
  """Reads `positions_2d`: {subject: {action: [one [T, J, 2] per camera]}},
  pixels.

  Raises:
    UserError: as `read_poses_3d`.
  """
  positions = _read(path, 'positions_2d')
  return {
    subject: {
      str(action): [_array(view, 2, path, subject, action) for view in views]
      for action, views in _dict(actions, path, subject).items()
    }
    for subject, actions in _dict(positions, path, 'positions_2d').items()
  }


def _dict(value: Any, path: pathlib.Path, name: str) -> dict:
  if not isinstance(value, dict) or not value:
    raise UserError(f'{path}: {name} is not a filled dict; see the README')
  return value


def _array(
  value: Any, size: int, path: pathlib.Path, subject: str, action: str
) -> np.ndarray:
  try:
    array = np.asarray(value, np.float32)
  except (TypeError, ValueError):
    array = np.zeros(())
  if array.ndim != 3 or array.shape[-1] < size:
    raise UserError(
      f'{path}: {subject} {action!r} is not an array [frames, joints, {size}]'
    )
  return array[..., :size]  # A third 2D column is a confidence.


def _read(path: pathlib.Path, key: str) -> Any:
  """The object under `key` of an npz archive."""
  try:
    with zipfile.ZipFile(path) as archive:
      with archive.open(f'{key}.npy') as file:
        return _read_npy(file)
  except FileNotFoundError as error:
    raise UserError(
      f'{path}: no such file; give its folder with --data_dir (the README says'
      ' how to get it)'
    ) from error
  except KeyError as error:
    raise UserError(f'{path}: holds no {key}; see the README') from error
  except pickle.UnpicklingError as error:
    raise UserError(f'{path}: refused, {error}') from error
  except (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, IndexError),
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError),
  ) as error:
    raise UserError(
      f'{path}: cut off or not an npz file ({error}); copy it again'
    ) from error


def _read_npy(file: Any) -> Any:
  version = np.lib.format.read_magic(file)
  read_header = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }
  if version not in read_header:
    raise ValueError(f'npy version {version}')
  shape, _, dtype = read_header[version](file)
  if not dtype.hasobject or shape != ():
    raise ValueError('not a pickled dict')
  # latin1 reads what Python 2 wrote.
  value = _Unpickler(file, encoding='latin1').load()
  return value.item() if isinstance(value, np.ndarray) else value


def _latin1_bytes(text: str, encoding: str) -> bytes:
  """How protocol 2 spells bytes; _codecs.encode without its other codecs."""
  if encoding != 'latin1':
    raise pickle.UnpicklingError(f'it asks for the codec {encoding}')
  return text.encode('latin1')


_SAFE = {
  ('numpy', 'ndarray'): np.ndarray,
  ('numpy', 'dtype'): np.dtype,
  ('_codecs', 'encode'): _latin1_bytes,
}
# NumPy 1 and 2 name the same functions differently.
for _module in ('numpy.core', 'numpy._core'):
  _SAFE[f'{_module}.multiarray', '_reconstruct'] = np.array(0).__reduce__()[0]
  _SAFE[f'{_module}.multiarray', 'scalar'] = np.float64(0).__reduce__()[0]
  _SAFE[f'{_module}.numeric', '_frombuffer'] = np.array([0]).__reduce_ex__(5)[0]


class _Unpickler(pickle.Unpickler):
  """Admits NumPy arrays, dicts, lists, strings and numbers."""

  def find_class(self, module: str, name: str) -> Any:
    try:
      return _SAFE[module, name]
    except KeyError:
      raise pickle.UnpicklingError(
        f'it would run {module}.{name}; use a file from a source you trust'
      ) from None
