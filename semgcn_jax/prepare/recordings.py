"""The parts of a conversion: recordings, and the files they go into."""

import concurrent.futures
import dataclasses
import multiprocessing
import operator
import pathlib
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from semgcn_jax.child_processes import end_with_parent
from semgcn_jax.data.npz import Poses2D, Poses3D
from semgcn_jax.errors import UserError, counted, listed
from semgcn_jax.files import is_of_macos
from semgcn_jax.prepare.archives import shown
from semgcn_jax.prepare.views import View, align
from semgcn_jax.text_tables import plain_table


@dataclasses.dataclass(frozen=True)
class Recording:
  """A recording, or one camera's view of it; any process can read it.

  Attributes:
    subject: The name of the subject, such as 'S9'.
    action: The name of the recording, such as 'Walking 1'.
    read: Reads its poses: `[T, J, 3]` in metres; for a view, `[T, J, 2]` in
      pixels, or detections, which `gather` aligns.
    camera: The index of the view's camera; None for 3D.
  """

  subject: str
  action: str
  read: Callable[[], np.ndarray | View]
  camera: int | None = None


@dataclasses.dataclass(frozen=True)
class Product:
  """A file to write, of 3D or of 2D.

  Attributes:
    dataset: The name of the dataset.
    clips: The clips that go into the file, in this order.
    keypoints: The name of the 2D; None for 3D.
    notes: Lines for the user, such as a list of missing recordings.
  """

  dataset: str
  clips: Sequence[Recording]
  keypoints: str | None = None
  notes: tuple[str, ...] = ()

  @property
  def file(self) -> str:
    """Its name: data_3d_<dataset>.npz or data_2d_<dataset>_<keypoints>.npz."""
    if self.keypoints is None:
      return f'data_3d_{self.dataset}.npz'
    return f'data_2d_{self.dataset}_{self.keypoints}.npz'


UNPACKED = '.unpacked-'  # The prefix of folders of unpacked files.


def find_files(
  folders: Sequence[pathlib.Path], pattern: re.Pattern
) -> Iterator[tuple[pathlib.Path, re.Match]]:
  """Finds files at any depth, except what another conversion has unpacked.

  Args:
    folders: The folders to search.
    pattern: Must match a file's whole path, with '/', starting with the name of
      the folder.

  Yields:
    The path of each file, and its match.
  """
  for folder in folders:
    folder = folder.absolute()
    for path in sorted(folder.rglob('*')):
      name = path.relative_to(folder.parent)
      nested = path.relative_to(folder).parts
      if is_of_macos(name.as_posix()) or any(
        part.startswith(UNPACKED) for part in nested
      ):
        continue
      match = pattern.fullmatch(name.as_posix())
      if match and path.is_file():
        yield path, match


def read_all(clips: Sequence[Recording]) -> list[np.ndarray | View]:
  """Reads the poses of every clip, with one process per core.

  Raises:
    UserError: A clip cannot be read, or a process was killed.
  """
  # Processes, because most of the time goes into parsing text, which holds
  # Python's lock. Spawned, because forking a program with threads, such as
  # JAX's, can hang.
  with concurrent.futures.ProcessPoolExecutor(
    mp_context=multiprocessing.get_context('spawn'), initializer=end_with_parent
  ) as pool:
    try:
      # The processes start here and leave Ctrl-C to this one. It is blocked,
      # not ignored, so that it is not lost meanwhile.
      mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
      results = pool.map(operator.methodcaller('read'), clips, chunksize=4)
      signal.pthread_sigmask(signal.SIG_SETMASK, mask)
      line = f'converting {counted(len(clips), "clip")}'
      return list(shown(results, 'converting', line, len(clips)))
    except concurrent.futures.BrokenExecutor as error:
      raise UserError(
        'a process of the conversion was killed; is there enough memory?'
      ) from error
    finally:
      pool.shutdown(cancel_futures=True)


def gather(
  product: Product,
  arrays: Sequence[np.ndarray | View],
  poses_3d: Mapping[str, Mapping[str, np.ndarray]],
  first_frame: int | None = None,
) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
  """Gathers the poses of a file's clips.

  Args:
    product: The file.
    arrays: The poses of each of its clips.
    poses_3d: The 3D poses of the same dataset, as far as available.
    first_frame: The number of the first frame of detections; None finds it.

  Returns:
    The dict to write, {subject: {action: poses, or a list of views}}, and notes
    about actions left out for lack of a view, and about guessed or filled
    frames.
  """
  poses = _by_action(product, arrays)
  if product.keypoints is None:
    return poses, ()
  cameras = range(1 + max(clip.camera or 0 for clip in product.clips))
  aligned: list[str] = []
  for subject, actions in poses.items():
    for action, views in actions.items():
      empty = [
        c for c, view in views.items() if not len(getattr(view, 'poses', view))
      ]
      for camera in empty:
        del views[camera]
        aligned.append(f'{subject} {action!r} camera {camera}: nobody found')
      if views and all(isinstance(view, View) for view in views.values()):
        whole = poses_3d.get(subject, {}).get(action)
        actions[action], found = align(
          views,
          frames_3d=None if whole is None else len(whole),
          first_frame=first_frame,
        )
        aligned += [f'{subject} {action!r}: {note}' for note in found]
  notes = aligned + [
    f'{subject} {action!r} lacks the view of camera'
    f' {listed(str(c) for c in cameras if c not in views)}; left out'
    for subject, actions in poses.items()
    for action, views in actions.items()
    if len(views) < len(cameras)
  ]
  return {
    subject: {
      action: [views[camera] for camera in cameras]
      for action, views in actions.items()
      if len(views) == len(cameras)
    }
    for subject, actions in poses.items()
  }, tuple(notes)


def _by_action(
  product: Product, arrays: Sequence[np.ndarray | View]
) -> dict[str, dict[str, Any]]:
  """Groups clips as {subject: {action: poses, or {camera: view}}}.

  Raises:
    UserError: Two clips are the same recording or view.
  """
  poses: dict[str, dict[str, Any]] = {}
  for clip, array in zip(product.clips, arrays, strict=True):
    place: dict[Any, Any] = poses.setdefault(clip.subject, {})
    key, camera = clip.action, ''
    if clip.camera is not None:
      place, camera = place.setdefault(key, {}), f' camera {clip.camera}'
      key = clip.camera
    if key in place:
      raise UserError(
        f'{product.file}: two files hold {clip.subject}'
        f' {clip.action!r}{camera}; remove one'
      )
    place[key] = array
  return poses


def summarize(
  product: Product, poses: Poses3D | Poses2D, path: pathlib.Path
) -> str:
  """Formats a table of a file's subjects, actions, frames and cameras.

  Args:
    product: The file.
    poses: Its poses, from `gather`.
    path: The path it was written to.
  """
  is_3d = product.keypoints is None
  views = {
    subject: {a: [poses] if is_3d else poses for a, poses in actions.items()}
    for subject, actions in poses.items()
  }
  counts = {
    subject: (len(actions), sum(len(of[0]) for of in actions.values()))
    for subject, actions in views.items()
  }
  total, frames = map(sum, zip(*counts.values(), strict=True))
  counts['all'] = total, frames
  cameras = sorted({len(of) for a in views.values() for of in a.values()})
  seen = '-' if is_3d else listed(map(str, cameras))
  table = plain_table(
    ['subject', 'actions', 'frames', 'cameras'],
    [
      [subject, f'{actions:,}', f'{frames:,}', seen]
      for subject, (actions, frames) in counts.items()
    ],
  )
  unit = 'metres, z up' if is_3d else 'pixels'
  return f'{table}\n{path}: {counted(len(poses), "subject")}, {unit}'
