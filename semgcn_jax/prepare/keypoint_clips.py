"""Finds the output of 2D detectors: a JSON file or a folder for each view.

The file is `<subject>/<action>.<camera>.json`. The folder has that name without
.json, and a JSON file for each frame or for all. `prepare.views` reads them.
"""

import functools
import pathlib
import re
from collections.abc import Iterator, Sequence

from semgcn_jax.data.h36m import CAMERAS
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.prepare import h36m
from semgcn_jax.prepare.recordings import Product, Recording, find_files
from semgcn_jax.prepare.views import read_view

# Files in a folder of frames match first, as their own names, such as
# img.0001.json, may look like those of views.
_VIEW = re.compile(
  r'(?:.*/)?([^/]+)/([^/]+)\.(\d+)/[^/]+\.json'
  r'|(?:.*/)?([^/]+)/([^/]+)\.(\d+)\.json'
)


def wanted(name: str) -> bool:
  """Whether a file with this path (with '/') is read."""
  return bool(_VIEW.fullmatch(name))


def find(
  folders: Sequence[pathlib.Path],
  *,
  dataset: str,
  keypoints: str,
  joint_set: str,
) -> Iterator[Product]:
  """Finds detections in folders.

  Args:
    folders: The folders to search, at any depth.
    dataset: The dataset that the detections belong to.
    keypoints: The name for the detections.
    joint_set: The key of the joints in `JOINT_SETS`; '' infers it from their
      number.

  Yields:
    The file of 2D, if there are detections.

  Raises:
    SettingError: A name is missing or invalid.
    UserError: The name of a file does not name a camera.
  """
  files: dict[tuple[str, str, str], list[pathlib.Path]] = {}
  for path, match in find_files(folders, _VIEW):
    subject, action, camera = filter(None, match.groups())
    files.setdefault((subject, action, camera), []).append(path)
  if not files:
    return
  if not re.fullmatch(r'\w+', keypoints) or not re.fullmatch(r'\w+', dataset):
    raise SettingError(
      f'`detections_name={keypoints}`, `dataset={dataset}`: detections were'
      f' found, such as {next(iter(files.values()))[0]}; name them and their'
      ' dataset with letters, digits and _'
    )
  clips = [
    Recording(
      subject,
      h36m.canonical(action) if dataset == 'h36m' else action,
      functools.partial(read_view, tuple(paths), joint_set),
      _camera(camera, paths[0]),
    )
    for (subject, action, camera), paths in files.items()
  ]
  yield Product(dataset, clips, keypoints)


def _camera(name: str, path: pathlib.Path) -> int:
  """Returns the index of a camera, given by Human3.6M's name or a number."""
  if name in CAMERAS:
    return CAMERAS.index(name)
  if int(name) > 99:
    raise UserError(
      f'{path}: {name} is not a camera; they are 0, 1, ..., or'
      f' {listed(CAMERAS)}'
    )
  return int(name)
