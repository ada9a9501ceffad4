"""Reads and writes checkpoints of the released PyTorch code.

A published checkpoint is a dict of epoch, lr, step, optimizer, state_dict and
error, saved by `torch.save` in its legacy format. Torch is imported only when a
file is read or written.
"""

import contextlib
import pathlib
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.files import open_plain, replacing


def _torch() -> Any:
  """Imports PyTorch, an optional extra of this package."""
  try:
    import torch  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise UserError(
      'PyTorch is not installed; pip install -e ".[torch]"'
    ) from error
  return torch


def load(path: pathlib.Path) -> dict[str, Any]:
  """Loads a dict that `torch.save` wrote, without running code from the file.

  Returns:
    The dict, with NumPy arrays in place of tensors at any depth.

  Raises:
    UserError: PyTorch is not installed.
    OSError: The file cannot be opened.
    pickle.UnpicklingError: It contains objects that are refused.
    Exception: It is damaged, which can raise anything.
  """
  torch = _torch()
  # In old files the error is a NumPy scalar, under either of these names.
  scalar = np.float64(0).__reduce__()[0]
  names = ('numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar')
  safe = [(scalar, name) for name in names]
  safe += [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
  open_plain(path).close()  # PyTorch would also read pipes and devices.
  with torch.serialization.safe_globals(safe), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    loaded = torch.load(path, weights_only=True, map_location='cpu')
  return _map_leaves(
    lambda x: x.detach().numpy() if isinstance(x, torch.Tensor) else x,
    dict(loaded),
  )


@contextlib.contextmanager
def naming_damage(
  path: pathlib.Path, way_out: str, otherwise: str
) -> Iterator[None]:
  """Turns any failure to read a file of tensors into a UserError.

  Args:
    path: The file.
    way_out: What to do if there is no such file.
    otherwise: What the file may be if it is not cut off.

  Raises:
    UserError: The file is missing, refused or damaged.
  """
  try:
    yield
  except UserError:
    raise
  except FileNotFoundError as error:
    raise UserError(f'{path}: no such file; {way_out}') from error
  except pickle.UnpicklingError as error:
    raise UserError(
      f'{path}: refused or damaged; it contains something other than tensors,'
      ' dicts and numbers'
    ) from error
  except Exception as error:  # A damaged file can raise anything.
    raise UserError(f'{path}: cut off, or {otherwise}') from error


def read(path: pathlib.Path) -> dict[str, Any]:
  """Reads a published checkpoint, without running code from the file.

  Returns:
    The checkpoint's dict, with NumPy arrays in place of tensors, and keys
    without the prefix `module.`.

  Raises:
    UserError: The file is missing, damaged, or not a published checkpoint.
  """
  otherwise = 'not a checkpoint of the released code'
  with naming_damage(path, 'give `input`', otherwise):
    checkpoint = load(path)
    if 'state_dict' not in checkpoint and all(
      isinstance(value, np.ndarray) for value in checkpoint.values()
    ):
      checkpoint = {'state_dict': checkpoint}  # Saved without the rest.
    state_dict = dict(checkpoint['state_dict'])
    if all(key.startswith('module.') for key in state_dict):
      state_dict = {k.removeprefix('module.'): v for k, v in state_dict.items()}
    if not all(isinstance(v, np.ndarray) for v in state_dict.values()):
      raise TypeError('not tensors')
    state_dict = {_released_name(k): v for k, v in state_dict.items()}
    return checkpoint | {'state_dict': state_dict}


# `nonlocal` is a keyword in Python 3, so ports of the released code rename the
# attribute. It is recognized by its children.
_RENAMED = re.compile(
  r'(gconv_(?:input|layers)\.\d+)\.\w+\.'
  r'((?:g\.0|theta|phi\.0|concat_project\.0|W\.[01])\.\w+)'
)


def _released_name(key: str) -> str:
  """Returns the key of a non-local layer in the released code."""
  return _RENAMED.sub(r'\1.nonlocal.\2', key)


def _map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
  """Maps over leaves of nested dicts; `jax.tree.map` would sort their keys."""
  if isinstance(tree, dict):
    return {k: _map_leaves(function, item) for k, item in tree.items()}
  return function(tree)


def write(checkpoint: dict[str, Any], path: pathlib.Path) -> None:
  """Writes a checkpoint in the published file format.

  Args:
    checkpoint: The result of `torch_states.export_checkpoint`.
    path: The file to write.

  Raises:
    SettingError: The file cannot be written; nothing is left behind.
    UserError: PyTorch is not installed.
  """
  torch = _torch()

  def tensors(arrays):
    return _map_leaves(lambda x: torch.from_numpy(np.array(x)), arrays)

  moments = checkpoint['optimizer']['state']
  # The installed PyTorch adds the other fields of a parameter group.
  adam = torch.optim.Adam(
    [torch.nn.Parameter(torch.zeros(1)) for _ in moments], lr=checkpoint['lr']
  )
  whole = checkpoint | {
    'state_dict': tensors(checkpoint['state_dict']),
    'optimizer': adam.state_dict() | {'state': tensors(moments)},
  }
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
      torch.save(whole, temporary, _use_new_zipfile_serialization=False)
  except (OSError, RuntimeError) as error:
    raise SettingError(f'`output={path}`: cannot be written') from error
