"""Converts what one can download to the files that training reads."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Sequence

from semgcn_jax.data.npz import write_poses_2d, write_poses_3d
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.prepare import archives, cmu, detectors, h36m
from semgcn_jax.prepare.clips import UNPACKED, gather, read_all, summarize
from semgcn_jax.skeleton import H36M


@dataclasses.dataclass(frozen=True)
class Options:
  """What a conversion can be told; --help of prepare_data explains it."""

  fps: float = 10.0
  benchmark: bool = True
  rates: pathlib.Path | None = None
  dataset: str = 'h36m'
  keypoints: str = ''
  joint_set: str = ''
  overwrite: bool = False


def prepare(
  source: pathlib.Path, output_dir: pathlib.Path, options: Options
) -> list[pathlib.Path]:
  """Converts everything that is recognised in the source.

  Args:
    source: An archive, or a folder of files and archives.
    output_dir: Gets the files.
    options: The rest.

  Returns:
    The files.

  Raises:
    SettingError: A file exists already, or nothing is recognised.
    UserError: A file is damaged, or the output cannot be written; what was
      there stays.
  """
  if not 0 < options.fps < 1e6:
    raise SettingError(f'`fps={options.fps:g}`: must be above 0')
  if not source.exists():
    raise SettingError(f'`source={source}`: no such file or folder')
  rates = cmu.read_rates(options.rates) if options.rates else {}
  try:
    output_dir.mkdir(parents=True, exist_ok=True)
    # There, not in the system's own place: there is room for the result.
    unpacked = tempfile.TemporaryDirectory(dir=output_dir, prefix=UNPACKED)
  except OSError as error:
    raise SettingError(
      f'`output_dir={output_dir}`: cannot be used ({error.strerror}); name'
      ' another folder'
    ) from error
  with unpacked as temporary:
    folders = _unpack(source, pathlib.Path(temporary))
    products = [
      *h36m.find(folders),
      *cmu.find(
        folders, fps=options.fps, benchmark=options.benchmark, rates=rates
      ),
      *detectors.find(
        folders,
        dataset=options.dataset,
        keypoints=options.keypoints,
        joint_set=options.joint_set,
      ),
    ]
    if not products:
      raise SettingError(
        f'`source={source}`: holds nothing that is known; docs/data.md lists'
        ' the layouts'
      )
    for product in products:
      path = output_dir / product.file
      if path.exists() and not options.overwrite:
        raise SettingError(f'{path}: exists; replace it with `overwrite`')
    # All of it, so that nothing is written of a source that is damaged.
    converted = [gather(p, read_all(p.clips)) for p in products]
  for product, (poses, notes) in zip(products, converted, strict=True):
    path = output_dir / product.file
    for note in (*product.notes, *notes):
      print(f'note: {note}')
    if not any(poses.values()):
      raise UserError(f'{path}: nothing to write, no action is complete')
    if product.keypoints is None:
      write_poses_3d(poses, path)
    else:
      write_poses_2d(poses, H36M, path)
    print(summarize(product, poses, path))
  return [output_dir / product.file for product in products]


def _wanted(name: str) -> bool:
  return any(format.wanted(name) for format in (h36m, cmu, detectors))


def _unpack(
  source: pathlib.Path, temporary: pathlib.Path
) -> Sequence[pathlib.Path]:
  """Lists the folders to look in: the source, and its archives, unpacked."""
  if source.is_file() and not archives.is_archive(source):
    raise SettingError(
      f'`source={source}`: neither a folder nor an archive'
      f' ({listed(archives.SUFFIXES)})'
    )
  found = [source] if source.is_file() else sorted(source.rglob('*'))
  folders = [source] if source.is_dir() else []
  for archive in filter(archives.is_archive, found):
    # Under a number: two archives may hold files of the same name.
    folder = temporary / str(len(folders)) / archive.name.partition('.')[0]
    archives.unpack(archive, _wanted, folder)
    folders.append(folder)
  return folders
