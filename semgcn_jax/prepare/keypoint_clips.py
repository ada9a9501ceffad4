"""Finds the output of 2D detectors: for each view a JSON file, or a folder.

The file is `<subject>/<action>.<camera>.json`; the folder, of that name without
.json, has a JSON file for each frame or one for all. `prepare.views`
reads them.
"""

import functools
import pathlib
import re
from collections.abc import Iterator, Sequence

from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.prepare import h36m
from semgcn_jax.prepare.clips import Clip, Product, find_files
from semgcn_jax.prepare.views import read_view

# A file within a folder of frames is looked for first, as its own name may also
# be that of a view, such as img.0001.json.
_VIEW = re.compile(
  r'(?:.*/)?([^/]+)/([^/]+)\.(\d+)/[^/]+\.json'
  r'|(?:.*/)?([^/]+)/([^/]+)\.(\d+)\.json'
)


def wanted(name: str) -> bool:
  """Tells whether a file of this name, its path with '/', is read."""
  return bool(_VIEW.fullmatch(name))


def find(
  folders: Sequence[pathlib.Path],
  *,
  dataset: str,
  keypoints: str,
  joint_set: str,
) -> Iterator[Product]:
  """Finds the detections in folders.

  Args:
    folders: The folders to look in, at any depth.
    dataset: The dataset that the detections are of.
    keypoints: The name to give to the detections.
    joint_set: The key of the joints in `JOINT_SETS`; '' lets their number tell.

  Yields:
    The file of 2D, if there are detections.

  Raises:
    SettingError: No proper name is given.
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
      ' dataset by letters, digits and _'
    )
  clips = [
    Clip(
      subject,
      h36m.canonical(action) if dataset == 'h36m' else action,
      functools.partial(read_view, tuple(paths), joint_set),
      _camera(camera, paths[0]),
    )
    for (subject, action, camera), paths in files.items()
  ]
  yield Product(dataset, clips, keypoints)


def _camera(name: str, path: pathlib.Path) -> int:
  """Finds the index of a camera, which Human3.6M's name or a number gives."""
  if name in h36m.CAMERAS:
    return h36m.CAMERAS.index(name)
  if int(name) > 99:
    raise UserError(
      f'{path}: {name} is not a camera; they are 0, 1, ..., or'
      f' {listed(h36m.CAMERAS)}'
    )
  return int(name)
