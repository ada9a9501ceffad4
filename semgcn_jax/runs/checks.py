"""Checks the files of checkpoints, which orbax opens whatever they are."""

import contextlib
import errno
import os
import pathlib
import stat
from typing import Any

import jax

from semgcn_jax.errors import UserError
from semgcn_jax.files import MAX_TEXT, check_plain

_MAX_ARRAYS = 2**37  # Bytes per file of arrays.
_MAX_DEPTH = 20  # Of folders within each other.


def check_files(
  path: pathlib.Path, most: int = MAX_TEXT, depth: int = 0
) -> None:
  """Checks that a folder holds only plain files and folders.

  Orbax would wait for a pipe, or read a device, forever. Files that vanish
  meanwhile are skipped.

  Args:
    path: The folder.
    most: The largest size of a file, in bytes, except in a folder `d`, where
      orbax puts arrays.
    depth: How deep the folder is within the one to check.

  Raises:
    OSError: It holds something else or a larger file; `filename` is its path.
  """
  if depth > _MAX_DEPTH:
    raise OSError(errno.ELOOP, 'Too many folders within each other', str(path))
  with contextlib.suppress(FileNotFoundError):
    for entry in list(os.scandir(path)):
      with contextlib.suppress(FileNotFoundError):
        status = entry.stat()
        if stat.S_ISDIR(status.st_mode):
          bound = _MAX_ARRAYS if entry.name == 'd' else most
          check_files(pathlib.Path(entry.path), bound, depth + 1)
        else:
          check_plain(status, most, entry.path)


def compare(saved: Any, wanted: Any, path: pathlib.Path) -> None:
  """Compares the keys and shapes of two trees, saved at a path and wanted.

  Raises:
    UserError: They differ; the message lists how.
  """
  saved, wanted = _by_path(saved), _by_path(wanted)
  problems = [f'{k} is missing' for k in wanted if k not in saved]
  problems += [f'{k} is not of the model' for k in saved if k not in wanted]
  problems += [
    f'{k} has shape {tuple(saved[k].shape)}, not {wanted[k].shape}'
    for k in wanted
    if k in saved and tuple(saved[k].shape) != wanted[k].shape
  ]
  if problems:
    shown = '; '.join(problems[:3]) + ('; ...' if len(problems) > 3 else '')
    raise UserError(
      f'{path}: does not fit the model in config.json ({shown}); restore the'
      ' config.json that it was trained with'
    )


def _by_path(tree: Any) -> dict[str, Any]:
  """Returns the leaves by path: {'params/input/conv/bias': leaf, ...}."""
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }
