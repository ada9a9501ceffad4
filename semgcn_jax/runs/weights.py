"""Reads and writes weights as one small file, beside config and skeleton.

A folder with weights.npz instead of checkpoints/ works wherever a run folder
does, but cannot be resumed.
"""

import pathlib
import tempfile
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from semgcn_jax import config as config_lib
from semgcn_jax.config import Config
from semgcn_jax.errors import SettingError, UserError, shortened
from semgcn_jax.files import read_arrays
from semgcn_jax.geometry.skeletons import Skeleton, save_skeleton
from semgcn_jax.runs.folder import check_output_folder

FILE = 'weights.npz'


def save_weights(
  folder: pathlib.Path,
  config: Config,
  skeleton: Skeleton,
  variables: dict[str, Any],
  epoch: int,
) -> None:
  """Writes the weights of one seed to a new folder.

  They stay float32: float16 moves a pose by 0.1 mm on average, but some by more
  than a millimetre.

  Args:
    folder: The folder, which must not exist.
    config: The config of the run.
    skeleton: The skeleton of the poses.
    variables: The params and batch_stats.
    epoch: Their epoch.

  Raises:
    SettingError: The folder exists, or cannot be written.
  """
  flat: dict[str, Any] = traverse_util.flatten_dict(
    jax.device_get(variables), sep='/'
  )
  arrays = {name: array.astype(np.float32) for name, array in flat.items()}
  try:
    check_output_folder(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix='.') as parent:
      whole = pathlib.Path(parent) / 'weights'
      whole.mkdir()
      with open(whole / FILE, 'wb') as file:
        np.savez_compressed(
          file,
          epoch=np.int32(epoch),
          skeleton=_fingerprint(skeleton),
          **arrays,
        )
      save_skeleton(skeleton, whole / 'skeleton.json')
      config_lib.save(config, whole / 'config.json')
      whole.rename(folder)
  except OSError as error:
    raise SettingError(f'`output={folder}`: {error.strerror}') from error


def _fingerprint(skeleton: Skeleton) -> np.ndarray:
  return np.frombuffer(bytes.fromhex(skeleton.fingerprint), np.uint8)


def read_weights(
  folder: pathlib.Path, abstract: dict[str, Any] | None, skeleton: Skeleton
) -> tuple[dict[str, Any], int]:
  """Reads the weights that `save_weights` wrote.

  Args:
    folder: The folder.
    abstract: The shapes of the params and batch_stats; None takes those of the
      file, as tracing a model takes long.
    skeleton: The skeleton in the folder.

  Returns:
    The params and batch_stats in float32, and their epoch.

  Raises:
    UserError: The file is damaged, or of another model or skeleton.
  """
  path = folder / FILE
  try:
    arrays = read_arrays(path)
    epoch = int(arrays.pop('epoch'))
    own = arrays.pop('skeleton', _fingerprint(skeleton))
    wanted: dict[str, Any] = arrays
    if abstract is not None:
      wanted = traverse_util.flatten_dict(abstract, sep='/')
    if arrays.keys() != wanted.keys():
      raise ValueError('the layers differ')
    if any(array.dtype.kind != 'f' for array in arrays.values()):
      raise ValueError('a layer holds no floats')
  except (OSError, KeyError, OverflowError, TypeError, ValueError) as error:
    raise UserError(
      f'{path}: is damaged, or of another model ({shortened(error, 200)});'
      ' restore the file'
    ) from error
  if not np.array_equal(own, _fingerprint(skeleton)):
    raise UserError(
      f'{folder / "skeleton.json"}: is not the skeleton that the weights were'
      ' trained with; restore the file'
    )
  for name, array in arrays.items():
    if array.shape != wanted[name].shape:
      raise UserError(
        f'{path}: {name} has the shape {array.shape}, not'
        f' {wanted[name].shape}; restore the file'
      )
    with np.errstate(over='ignore'):
      arrays[name] = array.astype(np.float32)
    if not np.isfinite(arrays[name]).all():
      raise UserError(f'{path}: {name} is not finite; restore the file')
  return traverse_util.unflatten_dict(arrays, sep='/'), epoch
