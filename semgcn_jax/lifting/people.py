"""Lifts whole clips of people, and writes what comes of it to a file."""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from semgcn_jax.data.detector_formats import (
  BY_COUNT,
  Person,
  fits,
  is_frame,
  is_known,
  read_people,
)
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.files import is_of_macos, read_bytes, replacing
from semgcn_jax.joint_sets import JOINT_SETS
from semgcn_jax.lifting.lifter import Lifter
from semgcn_jax.lifting.placing import height_factors
from semgcn_jax.lifting.smoothing import smooth
from semgcn_jax.lifting.tracking import track
from semgcn_jax.skeleton import H36M

# The version of the written files; docs/lifting.md describes them.
FORMAT, VERSION = 'semgcn_jax poses', 1
ENDINGS = ('.json', '.npz', '.csv')


@dataclasses.dataclass(frozen=True)
class PersonPoses:
  """A person's poses in a clip.

  Attributes:
    clip: The name of the clip.
    person: The name of the person in it.
    frames: The numbers of the frames, ascending, `[T]`.
    poses: The poses, `[T, 16, 3]`, metres, the pelvis at the origin, camera
      frame; NaN where fewer than four keypoints were found.
    errors: The expected error of each joint, `[T, 16]`, metres.
    image_size: The width and height of the images, in pixels.
  """

  clip: str
  person: str
  frames: np.ndarray
  poses: np.ndarray
  errors: np.ndarray
  image_size: tuple[int, int]


def find_clips(path: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Finds the clips that a path holds.

  Args:
    path: A file; the folder of a clip, with a file for each frame; or a folder
      of such files and folders.

  Returns:
    {name of a clip: its files}.

  Raises:
    UserError: There are none.
  """
  if path.is_file():
    return {path.stem: [path]}
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
    for file in files(folder, '.npy', '.npz'):
      clips[f'{folder.name}/{file.stem}'] = [file]
  for file in (*own, *files(path, '.npy', '.npz')):
    if file.stem in clips:
      raise UserError(
        f'{file}: {clips[file.stem][0]} has the same name; rename one'
      )
    clips[file.stem] = [file]
  if not clips:
    raise UserError(f'{path}: holds no keypoints (json, npy, npz)')
  return clips


def _are_frames(paths: Sequence[pathlib.Path]) -> bool:
  """Tells whether files are the frames of one clip: each of one image.

  The first file that holds keypoints tells; others may lie beside it.
  """
  for path in paths if len(paths) > 1 else ():
    try:
      content = json.loads(read_bytes(path))
    except (ValueError, OSError, RecursionError):
      return False  # Whoever reads the file will say what is wrong.
    if is_known(content):
      return is_frame(content)
  return False


def lift_clip(
  lifter: Lifter,
  name: str,
  paths: Sequence[pathlib.Path],
  *,
  joint_set: str = '',
  image_size: tuple[int, int] | None = None,
  min_confidence: float = 0.0,
  focal_length: float | None = None,
  field_of_view: float | None = None,
  height: float | None = None,
  method: str = 'none',
  fps: float = 30.0,
  cutoff: float = 3.0,
) -> list[PersonPoses]:
  """Lifts everybody in a clip.

  Args:
    lifter: The lifter.
    name: The name of the clip.
    paths: Its files, see `read_people`.
    joint_set: The key of its joints in `JOINT_SETS`; '' lets their number tell.
    image_size: The width and height of the images; None asks the files.
    min_confidence: See `Lifter.lift`, as for the next three.
    focal_length: See there.
    field_of_view: See there.
    height: See there.
    method: See `smooth`, as for the next two.
    fps: See there.
    cutoff: See there.

  Raises:
    UserError: The files cannot be read, or do not tell what must be known.
  """
  frames, told = read_people(paths)
  size = image_size or told
  if size is None:
    raise UserError(
      f'{paths[0]}: does not tell the size of its images; give'
      ' `image_size=1920x1080`'
    )
  if paths[0].suffix.lower() != '.json':
    frames = _to_pixels(frames, size, paths[0])
  people = [person for frame in frames.values() for person in frame]
  counts = sorted({len(person.keypoints) for person in people})
  if len(counts) > 1:
    raise UserError(
      f'{paths[0]}: people of {listed(map(str, counts))} joints; they must'
      ' agree'
    )
  joints = joint_set or BY_COUNT.get(counts[0] if counts else 17, '')
  if not joints:
    raise UserError(
      f'{paths[0]}: {counts[0]} joints a person; name their set by `joint_set`'
      f' ({listed(JOINT_SETS)})'
    )
  most = JOINT_SETS[joints].num_joints
  if counts and not fits(counts[0], joints):
    raise UserError(
      f'{paths[0]}: {counts[0]} joints a person, but `joint_set={joints}` has'
      f' {most}'
    )
  found = []
  for person in track(frames):
    keypoints = person.keypoints[:, :most].copy()
    keypoints[(keypoints[..., :2] == 0).all(axis=-1)] = 0
    # Some detectors are surer than sure; none counts in percent.
    if keypoints[..., 2].max() < 10:
      keypoints[..., 2] = np.minimum(keypoints[..., 2], 1)
    try:
      lifted = lifter.lift(
        keypoints,
        size,
        joints,
        min_confidence=min_confidence,
        focal_length=focal_length,
        field_of_view=field_of_view,
      )
    except UserError as error:
      if isinstance(error, SettingError):
        raise
      raise UserError(f'{paths[0]}: {error}') from error
    factor = 1.0
    if height is not None:
      # A person does not grow from frame to frame.
      factors = height_factors(lifted.poses, height)
      factor = np.nanmedian(factors) if lifted.num_missing < len(factors) else 1
    poses = smooth(
      lifted.poses * factor, person.frames, method, fps=fps, cutoff=cutoff
    )
    found.append(
      PersonPoses(
        name, person.name, person.frames, poses, lifted.errors * factor, size
      )
    )
  return found


def _to_pixels(
  frames: dict[int, list[Person]], size: tuple[int, int], path: pathlib.Path
) -> dict[int, list[Person]]:
  """Scales MediaPipe's landmarks, which are shares of the image, to pixels."""
  everybody = [p.keypoints for frame in frames.values() for p in frame]
  if {len(person) for person in everybody} != {33}:
    return frames
  points = np.concatenate(everybody)
  points = points[points[:, 2] > 0, :2]
  if np.median(np.abs(points)) > 2:
    return frames
  if (points < 0).mean() > 0.2:
    raise UserError(
      f'{path}: many landmarks are below 0, as those in metres are; give'
      ' pose_landmarks, not pose_world_landmarks'
    )
  scale = np.array([*size, 1.0])
  return {
    number: [
      dataclasses.replace(p, keypoints=p.keypoints * scale) for p in frame
    ]
    for number, frame in frames.items()
  }


def write_poses(
  people: Sequence[PersonPoses], path: pathlib.Path, details: dict[str, Any]
) -> None:
  """Writes poses as JSON, npz or CSV, by the ending of the path.

  Args:
    people: The poses.
    path: The file.
    details: What else to tell, such as the checkpoint.

  Raises:
    SettingError: The file cannot be written.
  """
  header = {
    'format': FORMAT,
    'version': VERSION,
    'joints': list(H36M.joints),
    'parents': list(H36M.parents),
    'unit': 'metres',
    'axes': 'x right, y down, z forward; the pelvis is the origin',
    **details,
  }
  write = {'.json': _as_json, '.npz': _as_npz, '.csv': _as_csv}[path.suffix]
  try:
    with replacing(path) as temporary:
      temporary.write_bytes(write(people, header))
  except OSError as error:
    raise SettingError(f'`output={path}`: {error.strerror}') from error


def _as_json(people: Sequence[PersonPoses], header: dict[str, Any]) -> bytes:
  """Makes JSON, in which null stands for what is not known."""

  def numbers(array):
    rounded = np.round(array.astype(float), 4)
    if rounded.ndim > 1:
      return [numbers(part) for part in rounded]
    return [x if np.isfinite(x) else None for x in rounded.tolist()]

  header['people'] = [
    {
      'clip': person.clip,
      'person': person.person,
      'image_size': list(person.image_size),
      'frames': person.frames.tolist(),
      'poses': numbers(person.poses),
      'expected_error': numbers(person.errors),
    }
    for person in people
  ]
  return (json.dumps(header, allow_nan=False) + '\n').encode()


def _as_npz(people: Sequence[PersonPoses], header: dict[str, Any]) -> bytes:
  """Makes an npz with a row for each person and frame."""

  def joined(arrays, empty):
    arrays = list(arrays)
    return np.concatenate(arrays) if arrays else empty

  file = io.BytesIO()
  np.savez_compressed(
    file,
    header=json.dumps(header),
    clip=np.array([p.clip for p in people for _ in p.frames], str),
    person=np.array([p.person for p in people for _ in p.frames], str),
    frame=joined((p.frames for p in people), np.zeros(0, int)),
    poses=joined((p.poses for p in people), np.zeros((0, 16, 3), np.float32)),
    expected_error=joined(
      (p.errors for p in people), np.zeros((0, 16), np.float32)
    ),
    image_size=joined(
      (np.tile(p.image_size, (len(p.frames), 1)) for p in people),
      np.zeros((0, 2), int),
    ),
  )
  return file.getvalue()


def _as_csv(people: Sequence[PersonPoses], header: dict[str, Any]) -> bytes:
  """Makes CSV with a line for each joint; the first line is a comment."""
  file = io.StringIO()
  file.write('# ' + json.dumps(header) + '\n')
  writer = csv.writer(file, lineterminator='\n')
  writer.writerow(
    ('clip', 'person', 'frame', 'joint', 'x', 'y', 'z', 'expected_error')
  )

  def text(x):
    return f'{x:.4f}' if np.isfinite(x) else ''

  for person in people:
    for frame, pose, errors in zip(
      person.frames, person.poses, person.errors, strict=True
    ):
      for joint, place, error in zip(H36M.joints, pose, errors, strict=True):
        writer.writerow(
          (
            *(person.clip, person.person, frame, joint),
            *map(text, place),
            text(error),
          )
        )
  return file.getvalue().encode()
