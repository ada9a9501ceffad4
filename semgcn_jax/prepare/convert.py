"""Converts downloaded files to those that training reads."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import filelock

from semgcn_jax.data.npz import (
  Poses3D,
  read_poses_3d,
  write_poses_2d,
  write_poses_3d,
)
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.files import is_of_macos
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.prepare import archives, cmu, h36m, keypoint_clips
from semgcn_jax.prepare.options import Options
from semgcn_jax.prepare.recordings import (
  UNPACKED,
  Product,
  gather,
  read_all,
  summarize,
)

_LOCK = '.lock'  # A running conversion locks the folder of what it unpacks.


def prepare(
  source: pathlib.Path, output_dir: pathlib.Path, options: Options
) -> list[pathlib.Path]:
  """Converts everything recognized in the source.

  Args:
    source: An archive, or a folder of files and archives.
    output_dir: The folder for the results.
    options: What to convert, and how.

  Returns:
    The paths of the results.

  Raises:
    SettingError: A result exists already, or nothing is recognized.
    UserError: A file is damaged, or a result cannot be written; the old one
      stays.
  """
  if not source.exists():
    raise SettingError(f'`source={source}`: no such file or folder')
  rates = cmu.read_rates(pathlib.Path(options.rates)) if options.rates else {}
  try:
    output_dir.mkdir(parents=True, exist_ok=True)
    # Archives are unpacked there, not in the system's temporary folder, since
    # there is probably room where the results go.
    _remove_left(output_dir)
    unpacked = tempfile.TemporaryDirectory(dir=output_dir, prefix=UNPACKED)
    lock = filelock.FileLock(pathlib.Path(unpacked.name) / _LOCK)
  except OSError as error:
    raise SettingError(
      f'`output_dir={output_dir}`: cannot be used ({error.strerror}); name'
      ' another folder'
    ) from error
  with unpacked as temporary, lock:
    folders = _unpack(source, pathlib.Path(temporary))
    products = _find(folders, options, rates)
    if not products:
      raise SettingError(
        f'`source={source}`: holds no known files; docs/data.md lists the'
        ' layouts'
      )
    for product in products:
      path = output_dir / product.file
      if path.exists() and not options.overwrite:
        raise SettingError(f'{path}: exists; replace it with `overwrite`')
    # All clips are read first, so a damaged source writes nothing.
    converted = _read(products, output_dir, options.first_frame)
  for product, (poses, notes) in zip(products, converted, strict=True):
    _write(product, poses, notes, output_dir / product.file)
  return [output_dir / product.file for product in products]


def _find(
  folders: Sequence[pathlib.Path], options: Options, rates: dict[str, float]
) -> list[Product]:
  """Finds all files that can be made from the folders' content."""
  return [
    *h36m.find(folders),
    *cmu.find(
      folders,
      fps=options.fps,
      benchmark=options.clips == 'benchmark',
      rates=rates,
    ),
    *keypoint_clips.find(
      folders,
      dataset=options.dataset,
      keypoints=options.detections_name,
      joint_set=options.joint_set,
    ),
  ]


def _read(
  products: Sequence[Product],
  output_dir: pathlib.Path,
  first_frame: int | None,
) -> list[tuple[dict[str, dict[str, Any]], tuple[str, ...]]]:
  """Reads the poses and notes of each file; see `gather`."""
  converted = []
  poses_3d: dict[str, Poses3D] = {}
  for product in products:
    known = poses_3d.get(product.dataset)
    path = output_dir / f'data_3d_{product.dataset}.npz'
    if known is None and product.keypoints and path.exists():
      known = read_poses_3d(path)
    poses, notes = gather(
      product, read_all(product.clips), known or {}, first_frame
    )
    if product.keypoints is None:
      poses_3d[product.dataset] = poses
    converted.append((poses, notes))
  return converted


def _write(
  product: Product,
  poses: dict[str, dict[str, Any]],
  notes: Sequence[str],
  path: pathlib.Path,
) -> None:
  """Writes a file, and prints its notes and a summary.

  Raises:
    UserError: There are no poses, or the file cannot be written.
  """
  for note in (*product.notes, *notes):
    print(f'note: {note}')
  if not any(poses.values()):
    raise UserError(f'{path}: nothing to write, no action is complete')
  if product.keypoints is None:
    write_poses_3d(poses, path)
  else:
    write_poses_2d(poses, H36M, path)
  print(summarize(product, poses, path))


def _remove_left(output_dir: pathlib.Path) -> None:
  """Removes what killed conversions have unpacked there."""
  for folder in output_dir.glob(f'{UNPACKED}*'):
    lock = filelock.FileLock(folder / _LOCK)
    with contextlib.suppress(filelock.Timeout), lock.acquire(blocking=False):
      shutil.rmtree(folder, ignore_errors=True)


def _wanted(name: str) -> bool:
  """Whether any format reads a file of this name."""
  formats = (h36m, cmu, keypoint_clips)
  return not is_of_macos(name) and any(f.wanted(name) for f in formats)


def _unpack(
  source: pathlib.Path, temporary: pathlib.Path
) -> Sequence[pathlib.Path]:
  """Unpacks the archives in a source.

  Returns:
    The folders to search: the source, if it is one, and one per archive.

  Raises:
    SettingError: The source is neither a folder nor an archive.
    UserError: An archive cannot be unpacked.
  """
  if source.is_file() and not archives.is_archive(source):
    raise SettingError(
      f'`source={source}`: neither a folder nor an archive'
      f' ({listed(archives.SUFFIXES)})'
    )
  found = [source] if source.is_file() else sorted(source.rglob('*'))
  folders = [source] if source.is_dir() else []
  for archive in filter(archives.is_archive, found):
    # Folders are numbered, as two archives may hold files of the same name.
    folder = temporary / str(len(folders)) / archive.name.partition('.')[0]
    archives.unpack(archive, _wanted, folder)
    folders.append(folder)
  return folders
