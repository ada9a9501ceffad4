"""Finds clips of keypoints on disk, and reads them."""

import dataclasses
import json
import logging
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from semgcn_jax.detections.clips import Clip
from semgcn_jax.detections.detector_formats import (
  is_frame,
  is_known,
  read_people,
)
from semgcn_jax.detections.joint_names import by_name
from semgcn_jax.detections.persons import Detection
from semgcn_jax.detections.tracking import track
from semgcn_jax.errors import UserError
from semgcn_jax.files import is_of_macos, read_bytes
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import resolve
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.pictures.videos import Album

_LEAST_FILLED = 0.55  # People in upright images reach this far down.
_SINGLE = ('.npy', '.npz', '.csv')  # Files that hold a whole clip.


def find_clips(path: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Finds the clips in a path, {name of a clip: its files}.

  Args:
    path: A file; the folder of a clip, with a file for each frame; or a folder
      of such files and folders.

  Raises:
    UserError: There are none.
  """
  if path.is_file():
    return {path.stem: [path]}
  if path.exists() and not path.is_dir():
    raise UserError(f'{path}: not a plain file; write the keypoints to one')
  if not path.is_dir():
    raise UserError(f'{path}: no such file or folder')

  def files(folder, *endings):
    return sorted(
      p
      for p in folder.iterdir()
      if p.suffix.lower() in endings and p.is_file() and not is_of_macos(p.name)
    )

  own = files(path, '.json')
  if own and _are_frames(own):
    return {path.resolve().name: own}
  clips = {}
  folders = (p for p in path.iterdir() if p.is_dir())
  for folder in sorted(p for p in folders if not is_of_macos(p.name)):
    if found := files(folder, '.json'):
      clips[folder.name] = found
    for file in files(folder, *_SINGLE):
      clips[f'{folder.name}/{file.stem}'] = [file]
  for file in (*own, *files(path, *_SINGLE)):
    if file.stem in clips:
      raise UserError(
        f'{file}: {clips[file.stem][0]} has the same name; rename one'
      )
    clips[file.stem] = [file]
  if not clips:
    raise UserError(f'{path}: holds no keypoints (json, npy, npz, csv)')
  return clips


def _are_frames(paths: Sequence[pathlib.Path]) -> bool:
  """Whether files are the frames of one clip, judging by the first known."""
  for path in paths if len(paths) > 1 else ():
    try:
      content = json.loads(read_bytes(path))
    except (ValueError, OSError, RecursionError):
      return False  # Reading the file will report the error.
    if is_known(content):
      return is_frame(content)
  return False


def read_clips(
  name: str,
  paths: Sequence[pathlib.Path],
  *,
  image_size: tuple[int, int] | None = None,
  joint_set: str = '',
  fps: float | None = None,
  pictures: Album | None = None,
  skeleton: Skeleton = H36M,
  lifted: Sequence[str] = (),
) -> list[Clip]:
  """Reads the keypoints of a clip, and tracks its people.

  Args:
    name: The name of the clip.
    paths: Its files; see `read_people`.
    image_size: The width and height; None takes them from the pictures, or the
      files.
    joint_set: The name of the joint set; '' infers it from the names or the
      number of the keypoints.
    fps: The frames per second; None takes them from the pictures, the names of
      the frames, or the default.
    pictures: The images of the clip.
    skeleton: The skeleton to lift to, whose joint sets are known.
    lifted: The names of those that the network lifts; see `resolve`.

  Returns:
    The clip. Photos of different sizes are clips of their own.

  Raises:
    UserError: The files cannot be read, do not contain the image size, or do
      not have the joints of one known set.
  """
  source, found = str(paths[0]), read_people(paths)
  size = image_size or (pictures.image_size if pictures else found.image_size)
  frames, joints = by_name(found.frames, joint_set, source, skeleton, lifted)
  named = bool(joints)
  counts = {len(one.keypoints) for frame in frames.values() for one in frame}
  joints = resolve(joints, counts, source, skeleton=skeleton, lifted=lifted)
  fps = fps or (pictures.fps if pictures else found.fps) or rates.DEFAULT
  if size is None and found.sizes:
    return [
      Clip(
        f'{name} {number}',
        track({number: frames.get(number, [])}),
        fps,
        own,
        joint_set=joints,
        is_named=named,
        skeleton=skeleton,
        source=source,
      )
      for number, own in sorted(found.sizes.items())
    ]
  if size is None:
    raise UserError(
      f'{source}: does not contain the image size; give `image_size=1920x1080`'
    )
  if paths[0].suffix.lower() in ('.npy', '.npz'):
    frames = _to_pixels(frames, size, paths[0])
  if image_size:
    _check_size_order(frames, size, source)
  if pictures:
    frames = pictures.numbered(frames, source)
  clip = Clip(
    name=name,
    people=track(frames, fps),
    fps=fps,
    image_size=size,
    pictures=pictures,
    joint_set=joints,
    is_named=named,
    skeleton=skeleton,
    source=source,
  )
  return [clip]


def _check_size_order(
  frames: Mapping[int, Sequence[Detection]], size: tuple[int, int], source: str
) -> None:
  """Notes that width and height may be exchanged, if people fill half."""
  width, height = size
  points = [one.keypoints for people in frames.values() for one in people]
  points = np.concatenate(points) if points else np.zeros((0, 3))
  lowest = points[points[:, 2] > 0, 1].max(initial=0)
  if height > width and 0 < lowest < min(width, _LEAST_FILLED * height):
    logging.getLogger('semgcn_jax').warning(
      '%s: everybody is in the upper %.0f%% of the images; is `image_size`'
      ' %dx%d?',
      source,
      100 * lowest / height,
      height,
      width,
    )


def _to_pixels(
  frames: Mapping[int, Sequence[Detection]],
  size: tuple[int, int],
  path: pathlib.Path,
) -> Mapping[int, Sequence[Detection]]:
  """Scales MediaPipe's landmarks, given as shares of the image, to pixels."""
  everybody = [p.keypoints for frame in frames.values() for p in frame]
  if {len(person) for person in everybody} != {33}:
    return frames
  points = np.concatenate(everybody)
  points = points[points[:, 2] > 0, :2]
  if np.median(np.abs(points)) > 2:
    return frames
  if (points < 0).mean() > 0.2:
    raise UserError(
      f'{path}: many landmarks are below 0, so they seem to be in metres; give'
      ' pose_landmarks, not pose_world_landmarks'
    )
  scale = np.array([*size, 1.0])
  return {
    number: [
      dataclasses.replace(p, keypoints=p.keypoints * scale) for p in frame
    ]
    for number, frame in frames.items()
  }
