"""Lifts whole clips of people."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semgcn_jax.config.fields import BELOW_A_MILLION, Group, setting
from semgcn_jax.detections.clips import Clip, PersonPoses
from semgcn_jax.detections.detector_formats import (
  Person,
  is_frame,
  is_known,
  read_people,
)
from semgcn_jax.detections.tracking import (
  Track,
  cut_track,
  every_frame,
  track,
)
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.files import is_of_macos, read_bytes
from semgcn_jax.geometry.joint_sets import JOINT_SETS, joints_of, resolve
from semgcn_jax.inference.clips import (
  HIGHEST_RATE,
  LOWEST_RATE,
  enough,
  is_long,
)
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.placing import height_factors
from semgcn_jax.motion.smoothing import METHODS, smooth


@dataclasses.dataclass(frozen=True)
class Options(Group):
  """Says how to lift a clip; see `Lifter.lift` and `smooth`."""

  joint_set: str = setting(
    '',
    'Say which set of joints was detected; if empty, their number tells.',
    choices=('', *JOINT_SETS),
  )
  min_confidence: float = setting(
    0.0, 'Take keypoints of less confidence as not found.'
  )
  focal_length: float | None = setting(
    None, 'Say what the focal length is in pixels, if known.'
  )
  field_of_view: float | None = setting(
    None,
    "Say what the field of view of an image's longer side is in degrees, if"
    ' known.',
  )
  height: float | None = setting(
    None, 'Say how tall the person is in metres, if known.'
  )
  smooth: str = setting('none', 'Smooth the poses over time.', choices=METHODS)
  fps: float | None = setting(
    None,
    'Say how many frames a second has; if not given, the video tells it, and'
    ' otherwise it is 30. Networks that see time need it.',
    BELOW_A_MILLION,
  )
  cutoff: float = setting(
    3.0, 'Let --smooth keep motion of up to this frequency in Hz.'
  )


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


def read_clip(
  name: str,
  paths: Sequence[pathlib.Path],
  image_size: tuple[int, int] | None = None,
) -> Clip:
  """Reads the keypoints of a clip.

  Args:
    name: The name of the clip.
    paths: Its files, see `read_people`.
    image_size: The width and height of the images; None asks the files.

  Raises:
    UserError: The files cannot be read, or do not tell the size.
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
  return Clip(name, str(paths[0]), frames, size)


def lift_clip(
  lifter: Lifter,
  clip: Clip,
  options: Options,
  over_time: Lifter | None = None,
) -> list[PersonPoses]:
  """Lifts everybody in a clip.

  Args:
    lifter: Lifts the people.
    clip: The clip.
    options: Says how.
    over_time: If given, it lifts those who are followed for long enough instead
      (see `is_long`); it sees time.

  Raises:
    UserError: The keypoints cannot be lifted.
    SettingError: An option is wrong.
  """
  everybody = [person for frame in clip.frames.values() for person in frame]
  counts = [len(person.keypoints) for person in everybody]
  joints = resolve(options.joint_set, counts, clip.source)
  return [
    _lift_person(person, clip, joints, options, lifter, over_time)
    for person in track(clip.frames)
  ]


def _lift_person(
  person: Track,
  clip: Clip,
  joints: str,
  options: Options,
  lifter: Lifter,
  over_time: Lifter | None,
) -> PersonPoses:
  """Lifts a person of a clip, whose keypoints are of the set `joints`."""
  person = _cleaned(person, JOINT_SETS[joints].num_joints)
  least, fps = options.min_confidence, options.fps or 30.0
  lens: dict[str, Any] = {
    'focal_length': options.focal_length,
    'field_of_view': options.field_of_view,
  }

  def lift(lifter, keypoints, rate):
    given = keypoints, clip.image_size, joints
    try:
      return lifter.lift(*given, min_confidence=least, rate=rate, **lens)
    except UserError as error:
      if isinstance(error, SettingError):
        raise
      raise UserError(f'{clip.source}: {error}') from error

  person, poses, errors = _lift_parts(person, fps, lift, lifter, over_time)
  factor = 1.0
  if options.height is not None and np.isfinite(poses).any():
    # A person does not grow from frame to frame.
    factor = np.nanmedian(height_factors(poses, options.height))
  poses, places = poses * factor, None
  seen = person.keypoints.copy()
  seen[seen[..., 2] < least] = 0
  if any(value is not None for value in lens.values()):
    given = person.keypoints, clip.image_size, joints
    places = lifter.place(poses, *given, min_confidence=least, **lens)
    # Poses of frames that show too little tell of others where the person is.
    places[~enough(seen, joints)] = np.nan

  def smoothed(positions):
    return smooth(
      positions,
      person.frames,
      options.smooth,
      fps=fps,
      cutoff=options.cutoff,
    )

  return PersonPoses(
    clip=clip.name,
    person=person.name,
    frames=person.frames,
    poses=smoothed(poses),
    image_size=clip.image_size,
    errors=errors * factor,
    keypoints=joints_of(seen, joints),
    places=None if places is None else smoothed(places[:, None])[:, 0],
  )


def _cleaned(person: Track, count: int) -> Track:
  """Takes the first keypoints, and marks what detectors did not find."""
  keypoints = person.keypoints[:, :count].copy()
  keypoints[(keypoints[..., :2] == 0).all(axis=-1)] = 0
  # Some detectors are surer than sure; none counts in percent.
  if keypoints[..., 2].max() < 10:
    keypoints[..., 2] = np.minimum(keypoints[..., 2], 1)
  return dataclasses.replace(person, keypoints=keypoints)


def _lift_parts(
  person: Track,
  fps: float,
  lift: Callable[[Lifter, np.ndarray, float], Lifted],
  lifter: Lifter,
  over_time: Lifter | None,
) -> tuple[Track, np.ndarray, np.ndarray]:
  """Lifts each part of a track by the lifter that suits its length.

  Args:
    person: The person.
    fps: The frames a second.
    lift: Calls a lifter on keypoints, `[T, J, 3]`, so many a second.
    lifter: See `lift_clip`, as for the next one.
    over_time: See there.

  Returns:
    The person, in every frame of the parts that are lifted over time; the
    poses, `[T, 16, 3]`, metres; and their errors, `[T, 16]`, metres.
  """
  parts, step = cut_track(person)
  rate = float(np.clip(fps / step, LOWEST_RATE, HIGHEST_RATE))
  lifters = [
    over_time
    if over_time and is_long(len(part.frames), rate, over_time.model)
    else lifter
    for part in parts
  ]
  if not any(chosen.model.is_temporal for chosen in lifters):
    parts, lifters = [person], [lifter]  # One call is faster than many.
  parts = [
    every_frame(part, step) if chosen.model.is_temporal else part
    for part, chosen in zip(parts, lifters, strict=True)
  ]
  results = [
    lift(chosen, part.keypoints, rate)
    for part, chosen in zip(parts, lifters, strict=True)
  ]
  person = dataclasses.replace(
    person,
    frames=np.concatenate([part.frames for part in parts]),
    keypoints=np.concatenate([part.keypoints for part in parts]),
  )
  poses = np.concatenate([result.poses for result in results])
  errors = np.concatenate([result.errors for result in results])
  return person, poses, errors


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
