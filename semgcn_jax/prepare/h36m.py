"""Human3.6M: its recordings, copies of them, and stacked hourglass detections.

Three kinds of files hold the same 3D of 32 joints, in millimetres, in the world
frame: the `.cdf` from the dataset's site, the `.cdf.mat` that MATLAB converts
them to, and the `.h5` in the h36m.zip of Martinez et al. (arXiv:1705.03098),
which also holds the detections of a stacked hourglass.
"""

import functools
import math
import pathlib
import re
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import cdflib
import h5py
import numpy as np
import scipy.io

from semgcn_jax.data.h36m import (
  ACTIONS,
  CAMERAS,
  TEST_SUBJECTS,
  TRAIN_SUBJECTS,
  is_corrupt,
)
from semgcn_jax.errors import UserError, listed
from semgcn_jax.files import budget, open_plain
from semgcn_jax.geometry.cameras import h36m_cameras, project, world_to_camera
from semgcn_jax.geometry.joint_sets import convert_joints
from semgcn_jax.prepare.recordings import Product, Recording, find_files

_MOST_VARIABLES = 1000  # Or dimensions, of a CDF; Human3.6M's have one or two.
_RECORDING = re.compile(
  r'(?:.*/)?(S\d+)/(?:MyPoseFeatures/D3_Positions|MyPoses/3D_positions)/'
  r'([^/]+)\.(cdf|cdf\.mat|h5)'
)
_DETECTION = re.compile(
  r'(?:.*/)?(S\d+)/StackedHourglass(FineTuned\w*)?/([^/]+)\.(\d{8})\.h5'
)


def wanted(name: str) -> bool:
  """Whether a file with this path (with '/') is read."""
  return bool(_RECORDING.fullmatch(name) or _DETECTION.fullmatch(name))


def find(folders: Sequence[pathlib.Path]) -> Iterator[Product]:
  """Finds recordings and detections in folders.

  Args:
    folders: The folders to look in, at any depth.

  Yields:
    The files that can be made: 3D, its projection, detections.

  Raises:
    UserError: The name of a file of detections does not name a camera.
  """
  recordings: dict[tuple[str, str], dict[str, pathlib.Path]] = {}
  detections: dict[str, list[Recording]] = {'sh_pt_mpii': [], 'sh_ft_h36m': []}
  for path, match in find_files(folders, _RECORDING):
    subject, action, kind = match.groups()
    # The same recording may come in several formats and archives.
    kinds = recordings.setdefault((subject, canonical(action)), {})
    kinds.setdefault(kind, path)
  for path, match in find_files(folders, _DETECTION):
    subject, tuned, action, camera = match.groups()
    if camera not in CAMERAS:
      raise UserError(
        f'{path}: {camera} is not a camera; they are {listed(CAMERAS)}'
      )
    clip = Recording(
      subject,
      canonical(action),
      functools.partial(read_detections, path),
      CAMERAS.index(camera),
    )
    if _is_sound(clip.subject, clip.action):
      detections['sh_ft_h36m' if tuned else 'sh_pt_mpii'].append(clip)
  # Recordings are ordered by the subject's number, and read from the most
  # original of their files.
  chosen = {
    clip: next(kinds[k] for k in ('cdf', 'cdf.mat', 'h5') if k in kinds)
    for clip, kinds in sorted(
      recordings.items(), key=lambda item: (int(item[0][0][1:]), item[0][1])
    )
  }
  notes = _missing(chosen) if chosen else ()
  sound = {clip: path for clip, path in chosen.items() if _is_sound(*clip)}
  if sound:
    clips = [
      Recording(*clip, functools.partial(read_recording, path))
      for clip, path in sound.items()
    ]
    views = [
      Recording(
        *clip, functools.partial(read_view, path, clip[0], camera), camera
      )
      for clip, path in sound.items()
      for camera in range(len(CAMERAS))
    ]
    yield Product('h36m', clips, notes=notes)
    yield Product('h36m', views, 'gt')
  for keypoints, clips in detections.items():
    if clips:
      there = {(clip.subject, clip.action) for clip in clips}
      yield Product('h36m', clips, keypoints, _missing(there))


def canonical(action: str) -> str:
  """Returns the usual name of a recording: 'Photo 1' for 'TakingPhoto_1'."""
  action = action.replace('_', ' ') if action[:1] != '_' else action
  action = action.replace('TakingPhoto', 'Photo')
  return action.replace('WalkingDog', 'WalkDog')


def read_recording(path: pathlib.Path) -> np.ndarray:
  """Reads the 3D of a recording from a .cdf, .cdf.mat or .h5 file.

  Returns:
    The poses, `[T, 32, 3]` float32, in metres, in the world frame.

  Raises:
    UserError: The file is damaged, or is no such file.
  """
  poses = _read(path, _READERS[path.suffix])
  if poses.ndim != 2 or poses.shape[1] != 96 or not len(poses):
    raise UserError(
      f'{path}: holds an array {list(poses.shape)}, not 96 numbers per frame;'
      " take the dataset's D3_Positions"
    )
  return (poses.reshape(-1, 32, 3) / 1000).astype(np.float32)


def read_view(path: pathlib.Path, subject: str, camera: int) -> np.ndarray:
  """Projects a recording to one of the subject's cameras.

  Args:
    path: The file of the recording.
    subject: The subject, one of Human3.6M's.
    camera: The index of the camera.

  Returns:
    The pixels, `[T, 16, 2]` float32, with the joints of `skeleton.H36M`.

  Raises:
    UserError: The file is damaged, or the subject has no cameras.
  """
  cameras = h36m_cameras()
  if subject not in cameras:
    raise UserError(
      f'{path}: {subject} has no cameras; only {listed(cameras)} have'
    )
  calibration = cameras[subject][camera]
  poses = convert_joints(read_recording(path), 'h36m_32').astype(np.float64)
  view = world_to_camera(poses, calibration)
  return project(view, calibration).astype(np.float32)


def read_detections(path: pathlib.Path) -> np.ndarray:
  """Reads the detections of a stacked hourglass from an .h5 file.

  Returns:
    The pixels, `[T, 16, 2]` float32, with the joints of `skeleton.H36M`.

  Raises:
    UserError: The file is damaged, or is no such file.
  """
  poses = _read(path, lambda path: _read_h5(path, 'poses'))
  if poses.ndim != 3 or poses.shape[1:] != (16, 2) or not len(poses):
    raise UserError(
      f'{path}: holds an array {list(poses.shape)}, not [frames, 16, 2]'
    )
  return convert_joints(poses, 'mpii').astype(np.float32)


def _read_cdf(path: pathlib.Path) -> np.ndarray:
  _check_counts(path)
  cdf = cdflib.CDF(path)
  variable = cdf.varinq('Pose')
  _check_size(path, 8 * math.prod(variable.Dim_Sizes) * (variable.Last_Rec + 1))
  poses = np.asarray(cdf['Pose'])
  return poses[0] if poses.ndim == 3 else poses  # One record holds all frames.


def _check_counts(path: pathlib.Path) -> None:
  """Raises a ValueError if the header of a CDF would take minutes to read.

  The library reads as many variables and dimensions as the header claims. The
  offsets are from NASA's "CDF Internal Format Description", version 3.
  """
  with open_plain(path) as file:
    if file.read(8) != bytes.fromhex('cdf300010000ffff'):
      return  # It is compressed, or of an older version.

    def numbers(start: int, form: str) -> tuple[int, ...]:
      file.seek(start)
      return struct.unpack(form, file.read(struct.calcsize(form)))

    (start,) = numbers(20, '>q')
    first, second = numbers(start + 12, '>qq')
    counts = [*numbers(start + 44, '>5i')]
    for variable in (first, second):
      if variable > 0:
        counts += numbers(variable + 340, '>i')
    if max(*counts[:2], *counts[3:]) > _MOST_VARIABLES:
      raise ValueError('it claims to hold more than such a file can')


def _read_mat(path: pathlib.Path) -> np.ndarray:
  if h5py.is_hdf5(path):  # This is what MATLAB 7.3 saves.
    with h5py.File(path) as file:
      data: Any = file['data']
      # A MATLAB cell holds a reference to its content; arrays are transposed.
      data = file[data[0, 0]] if data.dtype.hasobject else data
      _check_size(path, data.size * data.dtype.itemsize)
      return data[:].T
  sizes = [math.prod(shape) for _, shape, _ in scipy.io.whosmat(path)]
  _check_size(path, 8 * sum(sizes))
  return scipy.io.loadmat(path, variable_names=['data'])['data'][0, 0]


def _read_h5(path: pathlib.Path, name: str) -> np.ndarray:
  with h5py.File(path) as file:
    data: Any = file[name]
    _check_size(path, data.size * data.dtype.itemsize)
    return data[:]


def _check_size(path: pathlib.Path, size: int) -> None:
  """Raises a ValueError if a file claims to hold more than it can."""
  if size > budget(path.stat().st_size):
    raise ValueError('it claims to hold more than such a file can')


_READERS: dict[str, Callable[[pathlib.Path], np.ndarray]] = {
  '.cdf': _read_cdf,
  '.mat': _read_mat,
  '.h5': lambda path: _read_h5(path, '3D_positions').T,
}


def _read(
  path: pathlib.Path, reader: Callable[[pathlib.Path], np.ndarray]
) -> np.ndarray:
  """Reads an array of finite numbers; raises a UserError for a damaged file."""
  try:
    open_plain(path).close()
    poses = np.asarray(reader(path), np.float64)
  except Exception as error:  # Each library has its own errors for damage.
    reason = ' '.join(str(error).split())[:100] or type(error).__name__
    raise UserError(
      f'{path}: cut off, or not a file of Human3.6M ({reason}); copy it again'
    ) from error
  if not np.isfinite(poses).all():
    raise UserError(f'{path}: holds NaN or infinity; copy it again')
  return poses


def _is_sound(subject: str, action: str) -> bool:
  """Whether a recording is usable: not corrupt, nor an '_ALL' calibration."""
  return not action.startswith('_ALL') and not is_corrupt(subject, action)


def _missing(clips: Collection[tuple[str, str]]) -> tuple[str, ...]:
  """Notes what is missing: each subject should have every action twice.

  Args:
    clips: The (subject, action) of each recording found.
  """
  notes = []
  for subject in (*TRAIN_SUBJECTS, *TEST_SUBJECTS):
    there = [action.split(' ')[0] for s, action in clips if s == subject]
    there = [action for action in there if action in ACTIONS]
    missing = [
      f'{action} ({2 - there.count(action)})'
      for action in ACTIONS
      # The corrupt recording is left out anyway, so it may be missing.
      if there.count(action) < 2 - is_corrupt(subject, action)
    ]
    if not there:
      notes.append(f'missing: all 30 recordings of {subject}')
    elif missing:
      notes.append(
        f'missing: {subject} has {len(there)} of 30 recordings, not'
        f' {listed(missing)}'
      )
  return tuple(notes)
