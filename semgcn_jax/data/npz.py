"""Reads and writes VideoPose3D's npz archives of pickled dicts, safely.

Nothing in a file is executed; NumPy's own reader would run any function that a
pickle names.
"""

import io
import math
import os
import pathlib
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from semgcn_jax.config import DataConfig
from semgcn_jax.errors import UserError
from semgcn_jax.files import budget, open_plain, read_npy_header, replacing
from semgcn_jax.geometry.skeletons import Skeleton

# {subject: {action: [T, J, 3]}}, and the same with one [T, J, 2] per camera.
Poses3D = dict[str, dict[str, np.ndarray]]
Poses2D = dict[str, dict[str, list[np.ndarray]]]

MAX_STEPS = 1_000_000  # The most steps of a pickle; Human3.6M's has 30,000.


def read_poses_3d(path: pathlib.Path) -> Poses3D:
  """Reads the 3D poses under a file's key `positions_3d`.

  Returns:
    {subject: {action: [T, J, 3] float32}}, in metres, in the world frame.

  Raises:
    UserError: The file is missing, cut off, not in this layout, or holds
      anything but arrays, dicts, lists, strings and numbers.
  """
  subjects = _read_dicts(path, 'positions_3d')
  _check_bytes(
    path, [p for actions in subjects.values() for p in actions.values()]
  )
  return {
    subject: {
      action: _array(poses, (3,), f'{path}: {subject} {action!r}')
      for action, poses in actions.items()
    }
    for subject, actions in subjects.items()
  }


def read_poses_2d(path: pathlib.Path) -> Poses2D:
  """Reads the 2D poses under a file's key `positions_2d`.

  Returns:
    {subject: {action: [one [T, J, 2] float32 per camera]}}, in pixels. A third
    column, such as confidences, is dropped.

  Raises:
    UserError: As in `read_poses_3d`.
  """
  subjects = _read_dicts(path, 'positions_2d')
  for subject, actions in subjects.items():
    for action, views in actions.items():
      is_array = isinstance(views, np.ndarray) and views.ndim
      if not is_array and not isinstance(views, list):
        raise UserError(
          f'{path}: {subject} {action!r} is not a list with an array per camera'
        )
  _check_bytes(
    path,
    [v for a in subjects.values() for views in a.values() for v in views],
  )
  return {
    subject: {
      action: [
        _array(view, (2, 3), f'{path}: {subject} {action!r}')[..., :2]
        for view in views
      ]
      for action, views in actions.items()
    }
    for subject, actions in subjects.items()
  }


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
  """Reads the metadata of VideoPose3D's 2D files; {} if there are none.

  Raises:
    UserError: As in `read_poses_3d`.
  """
  try:
    metadata = _read(path, 'metadata')
  except UserError as error:
    if isinstance(error.__cause__, KeyError):
      return {}
    raise
  return metadata if isinstance(metadata, dict) else {}


def keypoints_path(config: DataConfig, dataset: str) -> pathlib.Path:
  """Returns the path of a dataset's 2D, data_2d_<dataset>_<keypoints>.npz."""
  name = f'data_2d_{dataset}_{config.keypoints}.npz'
  return pathlib.Path(config.data_dir) / name


def read_keypoints(config: DataConfig, dataset: str) -> Poses2D | None:
  """Reads data_2d_<dataset>_<keypoints>.npz; see `read_poses_2d`.

  Args:
    config: The config, which names the folder and the keypoints.
    dataset: The name of the dataset.

  Returns:
    The poses; None if there is no file of ground-truth 2D, which can be
    projected from the 3D.

  Raises:
    UserError: The file of detections is missing, or a file is damaged.
  """
  path = keypoints_path(config, dataset)
  if config.keypoints == 'gt' and not path.exists():
    return None
  return read_poses_2d(path)


def write_poses_3d(poses: Poses3D, path: pathlib.Path) -> None:
  """Writes a file that `read_poses_3d` reads.

  Raises:
    UserError: The file cannot be written; the old one stays.
  """
  _write(path, positions_3d=poses)


def write_poses_2d(
  poses: Poses2D, skeleton: Skeleton, path: pathlib.Path
) -> None:
  """Writes a file that `read_poses_2d` reads, with VideoPose3D's metadata.

  Raises:
    UserError: The file cannot be written; the old one stays.
  """
  metadata = {
    'num_joints': skeleton.num_joints,
    'keypoints_symmetry': [list(skeleton.left), list(skeleton.right)],
  }
  _write(path, positions_2d=poses, metadata=metadata)


def _write(path: pathlib.Path, **objects: dict) -> None:
  """Writes dicts to an npz archive, all or nothing; see `write_poses_3d`."""
  arrays = {key: np.array(value, object) for key, value in objects.items()}
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, arrays)
  except OSError as error:
    raise UserError(
      f'{path}: cannot be written ({error.strerror}); give another `output_dir`'
    ) from error


def write_arrays(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes arrays to a compressed npz, all or nothing.

  Raises:
    OSError: The file cannot be written; the old one stays.
  """
  with replacing(path) as temporary, open(temporary, 'wb') as file:
    np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def _read_dicts(path: pathlib.Path, key: str) -> dict[str, dict[str, Any]]:
  """Reads {subject: {action: poses}} without checking the poses."""
  subjects = _read(path, key)
  for name, value in ((key, subjects), *_items(subjects)):
    if not isinstance(value, dict) or not value:
      raise UserError(f'{path}: {name} is not a filled dict; see docs/data.md')
    if len({*map(str, value)}) < len(value):
      raise UserError(
        f'{path}: two names in {name} are the same as text; rename one'
      )
  return {
    str(subject): {str(action): poses for action, poses in actions.items()}
    for subject, actions in subjects.items()
  }


def _check_bytes(path: pathlib.Path, values: Iterable[Any]) -> None:
  """Raises a UserError if copies of shared arrays would be too large."""
  arrays = [value for value in values if isinstance(value, np.ndarray)]
  most = budget(path.stat().st_size)
  total = sum(array.nbytes for array in arrays)
  shared = len({id(array) for array in arrays}) < len(arrays)
  if shared and total > most:
    raise UserError(
      f'{path}: its arrays, some of them repeated, hold {total:,} bytes, more'
      f' than the limit of {most:,}; write each clip once'
    )


def _items(value: Any) -> list[tuple[Any, Any]]:
  return list(value.items()) if isinstance(value, dict) else []


def _array(value: Any, columns: tuple[int, ...], where: str) -> np.ndarray:
  """Checks that a value is an array of poses, and casts it to float32."""
  if (
    not isinstance(value, np.ndarray)
    or value.dtype.kind not in 'iuf'
    or value.ndim != 3
    or value.shape[-1] not in columns
  ):
    raise UserError(f'{where} is not an array [frames, joints, {columns[0]}]')
  return value.astype(np.float32)


def _read(path: pathlib.Path, key: str) -> Any:
  """Reads the object under a key of an npz archive."""
  try:
    with open_plain(path) as file, zipfile.ZipFile(file) as archive:
      info = archive.getinfo(f'{key}.npy')
      if info.file_size > budget(os.fstat(file.fileno()).st_size):
        raise _Refused('it would unpack to more than such a file can hold')
      return _read_npy(io.BytesIO(archive.read(info)))
  except OSError as error:
    raise unreadable(path, error) from error
  except KeyError as error:
    raise UserError(f'{path}: holds no {key}; see docs/data.md') from error
  except _Refused as error:
    raise UserError(f'{path}: refused, {error}') from error
  except Exception as error:  # A damaged file can raise anything.
    reason = ' '.join(str(error).split())[:100] or type(error).__name__
    raise UserError(
      f'{path}: cut off or not an npz file ({reason}); copy it again'
    ) from error


def unreadable(path: pathlib.Path, error: OSError) -> UserError:
  """Returns the error for a file of the dataset that cannot be opened."""
  if isinstance(error, FileNotFoundError):
    return UserError(
      f'{path}: no such file; give its folder with `data_dir`; see docs/data.md'
    )
  return UserError(f'{path}: {error.strerror or error}')


def _read_npy(file: Any) -> Any:
  """Reads the one pickled object in an npy file."""
  shape, dtype = read_npy_header(file)
  if not dtype.hasobject or shape != ():
    raise ValueError('not a pickled dict')
  start = file.tell()
  _check_steps(file)
  file.seek(start)
  # Python 2 pickled text and arrays as bytes, which latin1 keeps as they are.
  return _finished(_Unpickler(file, encoding='latin1').load(), {})


def _check_steps(file: Any) -> None:
  """Refuses a pickle that is small on disk but slow or large to load."""
  for steps, (code, value, _) in enumerate(pickletools.genops(file)):
    remembered = code.name in ('PUT', 'BINPUT', 'LONG_BINPUT')
    if steps > MAX_STEPS or (remembered and int(value or 0) > steps):
      raise _Refused('its pickle has more steps than a file of poses needs')


class _Refused(Exception):
  """A pickle asks for something that no file of poses needs."""


# NumPy's own functions let a pickle create arrays of any type over any bytes,
# which is enough to crash or to run code. These stand in for them.


class _Dtype:
  """Stands in for `numpy.dtype`; a pickle can only set its byte order."""

  def __init__(self, code: str, *flags: Any):
    del flags
    if not re.fullmatch(r'[biufSU]\d{1,9}|O8?', str(code)):
      raise _Refused(f'it holds an array of type {code!r:.40}')
    self.dtype = np.dtype(code)

  def __setstate__(self, state: tuple) -> None:
    if state[1] in ('<', '>'):
      self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
  """Stands in for `numpy.ndarray`; __setstate__ brings its content."""

  def __init__(self, *arguments: Any):
    del arguments
    self.value: Any = None

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
  data: bytes,
  stub: _Dtype,
  shape: tuple[int, ...],
  order: Literal['C', 'F'] = 'C',
) -> np.ndarray:
  """Builds an array from exactly its bytes."""
  if stub.dtype.hasobject:
    raise _Refused('it holds an array of objects')
  if math.prod(shape) * stub.dtype.itemsize != len(data):
    raise ValueError('an array of another size than its data')
  return np.frombuffer(data, stub.dtype).reshape(shape, order=order)


def _from_buffer(data: Any, stub: _Dtype, shape: Any, order: Any) -> _Array:
  """Stands in for NumPy's `_frombuffer`, which protocol 5 needs."""
  array = _Array()
  array.value = _from_bytes(bytes(data), stub, shape, order)
  return array


def _scalar(stub: _Dtype, data: bytes | str) -> Any:
  """Stands in for NumPy's `scalar`; returns a Python number."""
  data = data.encode('latin1') if isinstance(data, str) else data
  return _from_bytes(data, stub, ()).item()


def _latin1_bytes(text: str, encoding: str) -> bytes:
  """Stands in for `_codecs.encode`, with which protocol 2 spells bytes."""
  if encoding != 'latin1':
    raise _Refused(f'it asks for the codec {encoding!r:.40}')
  return text.encode('latin1')


_SAFE = {
  ('numpy', 'ndarray'): _Array,
  ('numpy', 'dtype'): _Dtype,
  ('_codecs', 'encode'): _latin1_bytes,
}
# NumPy 1 and 2 keep the same functions in different modules.
for _module in ('numpy.core', 'numpy._core'):
  _SAFE[f'{_module}.multiarray', '_reconstruct'] = _Array
  _SAFE[f'{_module}.multiarray', 'scalar'] = _scalar
  _SAFE[f'{_module}.numeric', '_frombuffer'] = _from_buffer


class _Unpickler(pickle.Unpickler):
  """An unpickler that admits arrays, dicts, lists, strings and numbers."""

  def find_class(self, module: str, name: str) -> Any:
    """Returns the stand-in for a function, or refuses to call it."""
    try:
      return _SAFE[module, name]
    except KeyError:
      raise _Refused(
        f'it would run {module}.{name}; use a file from a source you trust'
      ) from None


def _finished(value: Any, done: dict[int, Any]) -> Any:
  """Replaces stand-ins by their arrays, at any depth.

  Args:
    value: The value.
    done: Earlier results by the id of their value, so that what a pickle shares
      stays shared.
  """
  if not isinstance(value, _Array | dict | list | tuple):
    return value
  if id(value) not in done:
    if isinstance(value, _Array):
      result = _finished(value.value, done)
    elif isinstance(value, dict):
      result = {key: _finished(item, done) for key, item in value.items()}
    else:
      result = [_finished(item, done) for item in value]
    # The value is kept too; otherwise its id might be reused.
    done[id(value)] = result, value
  return done[id(value)][0]
