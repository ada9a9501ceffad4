"""Files in VideoPose3D's layout: npz archives of pickled dicts, read safely."""

import math
import pathlib
import pickle
import re
import zipfile
from typing import Any

import numpy as np

from semgcn_jax.config import DataConfig
from semgcn_jax.errors import UserError
from semgcn_jax.files import replacing
from semgcn_jax.skeleton import Skeleton

# {subject: {action: [T, J, 3]}} and {subject: {action: [one [T, J, 2] each]}}.
Poses3D = dict[str, dict[str, np.ndarray]]
Poses2D = dict[str, dict[str, list[np.ndarray]]]


def read_poses_3d(path: pathlib.Path) -> Poses3D:
  """Reads `positions_3d`: {subject: {action: [T, J, 3]}}, metres, world frame.

  Raises:
    UserError: no such file, cut off, not in this layout, or it holds anything
      but arrays, dicts, lists, strings and numbers; none of it is run.
  """
  return {
    subject: {
      action: _array(poses, (3,), f'{path}: {subject} {action!r}')
      for action, poses in actions.items()
    }
    for subject, actions in _read_dicts(path, 'positions_3d').items()
  }


def read_poses_2d(path: pathlib.Path) -> Poses2D:
  """Reads `positions_2d`: {subject: {action: [one [T, J, 2] per camera]}},
  pixels. A third column, as of confidences, is left out.

  Raises:
    UserError: as `read_poses_3d`.
  """
  poses = {}
  for subject, actions in _read_dicts(path, 'positions_2d').items():
    poses[subject] = {}
    for action, views in actions.items():
      where = f'{path}: {subject} {action!r}'
      if not isinstance(views, list | np.ndarray):
        raise UserError(f'{where} is not a list with an array per camera')
      poses[subject][action] = [
        _array(view, (2, 3), where)[..., :2] for view in views
      ]
  return poses


def keypoints_path(config: DataConfig, dataset: str) -> pathlib.Path:
  """Names the file of a dataset's 2D, data_2d_<dataset>_<keypoints>.npz."""
  name = f'data_2d_{dataset}_{config.keypoints}.npz'
  return pathlib.Path(config.data_dir) / name


def read_keypoints(config: DataConfig, dataset: str) -> Poses2D | None:
  """Reads data_2d_<dataset>_<keypoints>.npz; see `read_poses_2d`.

  Returns:
    The poses; None where the file of ground-truth 2D is missing, which is then
    projected from the 3D.
  """
  path = keypoints_path(config, dataset)
  if config.keypoints == 'gt' and not path.exists():
    return None
  return read_poses_2d(path)


def write_poses_3d(poses: Poses3D, path: pathlib.Path) -> None:
  """Writes what `read_poses_3d` reads; see `_write`."""
  _write(path, positions_3d=poses)


def write_poses_2d(
  poses: Poses2D, skeleton: Skeleton, path: pathlib.Path
) -> None:
  """Writes what `read_poses_2d` reads, and metadata; see `_write`.

  Args:
    poses: the poses.
    skeleton: of their joints.
    path: the file.
  """
  metadata = {
    'num_joints': skeleton.num_joints,
    'keypoints_symmetry': [list(skeleton.left), list(skeleton.right)],
  }
  _write(path, positions_2d=poses, metadata=metadata)


def _write(path: pathlib.Path, **objects: dict) -> None:
  """Writes dicts to an npz archive.

  Raises:
    UserError: it cannot be written; nothing is left under the final name.
  """
  arrays = {k: np.array(value, dtype=object) for k, value in objects.items()}
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, open(temporary, 'wb') as file:
      np.savez_compressed(file, **arrays)
  except OSError as error:
    raise UserError(
      f'{path}: cannot be written ({error.strerror}); give another `output_dir`'
    ) from error


def _read_dicts(path: pathlib.Path, key: str) -> dict[str, dict[str, Any]]:
  subjects = _read(path, key)
  for name, value in ((key, subjects), *_items(subjects)):
    if not isinstance(value, dict) or not value:
      raise UserError(f'{path}: {name} is not a filled dict; see the README')
  return {
    str(subject): {str(action): poses for action, poses in actions.items()}
    for subject, actions in subjects.items()
  }


def _items(value: Any) -> list[tuple[Any, Any]]:
  return list(value.items()) if isinstance(value, dict) else []


def _array(value: Any, columns: tuple[int, ...], where: str) -> np.ndarray:
  if (
    not isinstance(value, np.ndarray)
    or value.dtype.kind not in 'iuf'
    or value.ndim != 3
    or value.shape[-1] not in columns
  ):
    raise UserError(f'{where} is not an array [frames, joints, {columns[0]}]')
  return value.astype(np.float32)


def _read(path: pathlib.Path, key: str) -> Any:
  """The object under `key` of an npz archive."""
  try:
    with zipfile.ZipFile(path) as archive:
      with archive.open(f'{key}.npy') as file:
        return _read_npy(file)
  except FileNotFoundError as error:
    raise UserError(
      f'{path}: no such file; give its folder with `data_dir` (docs/data.md'
      ' says how to get it)'
    ) from error
  except KeyError as error:
    raise UserError(f'{path}: holds no {key}; see the README') from error
  except _Refused as error:
    raise UserError(f'{path}: refused, {error}') from error
  except Exception as error:  # A damaged file can raise anything.
    reason = ' '.join(str(error).split())[:100] or type(error).__name__
    raise UserError(
      f'{path}: cut off or not an npz file ({reason}); copy it again'
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
  return _finished(_Unpickler(file, encoding='latin1').load())


class _Refused(Exception):
  """The pickle asks for something that no file of poses needs."""


# NumPy's own functions would let a pickle make arrays of any type over any
# bytes, which is enough to crash or to run code. These stand in for them.


class _Dtype:
  """Numbers, strings, or objects; only the byte order can be set."""

  def __init__(self, code: str, *flags: Any):
    del flags
    if not re.fullmatch(r'[biufSU]\d{1,9}|O8?', str(code)):
      raise _Refused(f'it holds an array of type {code!r:.40}')
    self.dtype = np.dtype(code)

  def __setstate__(self, state: tuple) -> None:
    if state[1] in ('<', '>'):
      self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
  """An array whose content comes with __setstate__."""

  def __init__(self, *arguments: Any):
    del arguments
    self.value = None

  def __setstate__(self, state: tuple) -> None:
    _, shape, stub, fortran, data = state
    if stub.dtype.hasobject:
      if not isinstance(data, list) or len(shape) > 1:
        raise _Refused('it holds an array of objects')
      self.value = data if shape else data[0]
    else:
      data = data.encode('latin1') if isinstance(data, str) else data
      self.value = _from_bytes(data, stub, shape, 'F' if fortran else 'C')


def _from_bytes(
  data: bytes, stub: _Dtype, shape: tuple[int, ...], order: str = 'C'
) -> np.ndarray:
  if stub.dtype.hasobject:
    raise _Refused('it holds an array of objects')
  if math.prod(shape) * stub.dtype.itemsize != len(data):
    raise ValueError('an array of another size than its data')
  return np.frombuffer(data, stub.dtype).reshape(shape, order=order)


def _from_buffer(data, stub, shape, order) -> _Array:
  array = _Array()
  array.value = _from_bytes(bytes(data), stub, shape, order)
  return array


def _scalar(stub: _Dtype, data: bytes | str) -> Any:
  data = data.encode('latin1') if isinstance(data, str) else data
  return _from_bytes(data, stub, ()).item()


def _latin1_bytes(text: str, encoding: str) -> bytes:
  """How protocol 2 spells bytes; _codecs.encode without its other codecs."""
  if encoding != 'latin1':
    raise _Refused(f'it asks for the codec {encoding!r:.40}')
  return text.encode('latin1')


_SAFE = {
  ('numpy', 'ndarray'): _Array,
  ('numpy', 'dtype'): _Dtype,
  ('_codecs', 'encode'): _latin1_bytes,
}
# NumPy 1 and 2 name the same functions differently.
for _module in ('numpy.core', 'numpy._core'):
  _SAFE[f'{_module}.multiarray', '_reconstruct'] = _Array
  _SAFE[f'{_module}.multiarray', 'scalar'] = _scalar
  _SAFE[f'{_module}.numeric', '_frombuffer'] = _from_buffer


class _Unpickler(pickle.Unpickler):
  """Admits arrays, dicts, lists, strings and numbers."""

  def find_class(self, module: str, name: str) -> Any:
    try:
      return _SAFE[module, name]
    except KeyError:
      raise _Refused(
        f'it would run {module}.{name}; use a file from a source you trust'
      ) from None


def _finished(value: Any) -> Any:
  """Replaces the stand-ins by their arrays."""
  if isinstance(value, _Array):
    return _finished(value.value)
  if isinstance(value, dict):
    return {key: _finished(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [_finished(item) for item in value]
  return value
