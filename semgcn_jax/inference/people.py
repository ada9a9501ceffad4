"""Lifts everybody in a clip."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Unpack

import numpy as np

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.detections.tracking import cut_track, every_frame
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import feet_of, joints_of
from semgcn_jax.geometry.skeletons import H36M, JointSet
from semgcn_jax.inference.arguments import (
  Arguments,
  Options,
  PoseError,
  knows_lens,
  read_arguments,
)
from semgcn_jax.inference.clips import is_long
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.placing import require_h36m, to_height
from semgcn_jax.inference.readings import check_reading
from semgcn_jax.inference.sides import exchange_joints
from semgcn_jax.models.inputs import shows_enough


def lift_clip(
  lifter: Lifter,
  clip: Clip,
  over_time: Lifter | None = None,
  *,
  height: float | None = None,
  **options: Unpack[Options],
) -> Clip:
  """Lifts everybody in a clip.

  Args:
    lifter: Lifts the people.
    clip: The clip as read, or as `check_clip` returns it: its people have
      keypoints of its joint set, and its skeleton is the lifter's. Those who
      are mirror images of it are lifted as what they are images of.
    over_time: If given, a lifter that sees time, for people who are tracked
      long enough (see `is_long`).
    height: See `Lifter.lift`.
    **options: See `arguments.Options`; if the lens is known, people also get
      positions.

  Returns:
    The clip with poses and keypoints of the skeleton's joints. People lifted
    over time are in every frame of the parts in which they are tracked.

  Raises:
    UserError: The keypoints cannot be lifted.
    SettingError: An argument is wrong.
  """
  clip = _cleaned(clip)
  view, joint_set = (clip.image_size, clip.joint_set), clip.marked
  if height is not None:
    require_h36m(clip.skeleton, 'height')

  def lift(lifter, keypoints, fps):
    return lifter.lift(keypoints, *view, fps=fps, check=False, **options)

  def lift_person(person):
    frames, keypoints, poses, errors = _lift_parts(
      *(person.frames, person.keypoints, clip.fps, lift, lifter, over_time),
      joint_set,
    )
    if height is not None:
      poses, errors = to_height(poses, errors, height)
    seen = keypoints.copy()
    seen[seen[..., 2] < options.get('min_confidence', 0)] = 0
    feet = feet_of(seen, joint_set)
    seen, places = joints_of(seen, joint_set), None
    if knows_lens(options):
      places = lifter.place(poses, keypoints, *view, **options)
      # A pose from the frames around it does not say where the person is.
      places[~shows_enough(seen)] = np.nan
    return Person(
      *(person.name, frames, seen, poses, errors, places), marked_feet=feet
    )

  width = clip.image_size[0]
  people = tuple(
    _mirrored(lift_person(_mirrored(person, width)), width)
    if person.is_mirrored
    else lift_person(person)
    for person in clip.people
  )
  return dataclasses.replace(clip, people=people, joint_set='')


def _mirrored(person: Person, width: int) -> Person:
  """Mirrors a person about the middle of images of a width in pixels."""
  keypoints, places = np.array(person.keypoints), person.places
  x = width - keypoints[..., 0]
  keypoints[..., 0] = np.where(keypoints[..., 2] > 0, x, 0)
  return dataclasses.replace(
    person,
    keypoints=keypoints,
    poses=person.poses * np.array((-1, 1, 1), np.float32),
    places=None if places is None else places * (-1, 1, 1),
    is_mirrored=not person.is_mirrored,
  )


def _cleaned(clip: Clip) -> Clip:
  """Keeps the keypoints of the joint set, and zeroes those not detected."""

  def clean(person):
    keypoints = person.keypoints[:, : clip.marked.num_joints].copy()
    keypoints[(keypoints[..., :2] == 0).all(axis=-1)] = 0
    # Some detectors report a little over 1, but none reports percentages.
    if keypoints[..., 2].max() < 10:
      keypoints[..., 2] = np.minimum(keypoints[..., 2], 1)
    return dataclasses.replace(person, keypoints=keypoints)

  return dataclasses.replace(clip, people=tuple(map(clean, clip.people)))


def check_clip(
  clip: Clip, judge: Lifter | None = None, **options: Unpack[Options]
) -> Clip:
  """Checks the keypoints of everybody in a clip before they are lifted.

  Args:
    clip: The clip as read.
    judge: If given, a lifter of single frames that checks the joint set; see
      `check_reading`.
    **options: Those of `lift_clip`.

  Returns:
    The clip without single odd keypoints, see `Arguments.checked`, and with
    another joint set if its own was inferred and does not fit.

  Raises:
    UserError: The keypoints are probably not what they seem; it names the file,
      and the person and the frame where they are known.
    SettingError: An option is wrong.
  """
  if not clip.people:
    return clip
  clip = _cleaned(clip)
  with _naming_frames(clip):
    given = _arguments(clip, options).within_images()
  clip = _with_found(clip, given.keypoints[..., 2:] > 0)
  # In the order of another set, people may seem to be upside down.
  clip = check_reading(judge, clip) if judge else clip
  with _naming_frames(clip):
    if clip.skeleton == H36M:
      _arguments(clip, options).check_upright()
  return clip


def _arguments(clip: Clip, options: Options) -> Arguments:
  """Reads the keypoints of everybody as the arguments of a lifter."""
  keypoints = np.concatenate([np.asarray(p.keypoints) for p in clip.people])
  return read_arguments(
    *(keypoints, clip.image_size, clip.joint_set),
    skeleton=clip.skeleton,
    **options,
  )


@contextlib.contextmanager
def _naming_frames(clip: Clip) -> Iterator[None]:
  """Lets errors name the file, and the person and frame if they are known."""
  owners = [(p, n) for p in clip.people for n in p.frames.tolist()]
  try:
    yield
  except SettingError:
    raise
  except PoseError as error:
    person, frame = owners[error.pose]
    where = f'person {person.name}, ' if len(clip.people) > 1 else ''
    raise UserError(
      f'{clip.source}: {where}frame {frame} {error.reason}'
    ) from error
  except UserError as error:
    # The file is named instead of the argument of the lifter.
    reason = str(error).removeprefix('`keypoints`: ')
    raise UserError(f'{clip.source}: {reason}') from error


def _with_found(clip: Clip, found: np.ndarray) -> Clip:
  """Zeroes the keypoints of everybody, `[N, J, 1]`, that do not count."""
  ends = np.cumsum([len(person.frames) for person in clip.people])[:-1]
  people = tuple(
    dataclasses.replace(
      person, keypoints=np.where(part, np.asarray(person.keypoints), 0)
    )
    for person, part in zip(clip.people, np.split(found, ends), strict=True)
  )
  return dataclasses.replace(clip, people=people)


def _lift_parts(
  frames: np.ndarray,
  keypoints: np.ndarray,
  fps: float,
  lift: Callable[[Lifter, np.ndarray, float], Lifted],
  lifter: Lifter,
  over_time: Lifter | None,
  joint_set: JointSet,
) -> tuple[np.ndarray, ...]:
  """Lifts each part of a person's track by the lifter that suits its length.

  Args:
    joint_set: The joint set of the keypoints.

  Returns:
    The numbers, keypoints, poses and errors of all lifted frames; sides that
    were exchanged are exchanged back.
  """
  parts, step = cut_track(frames)
  fps = float(np.clip(fps / step, rates.LOWEST, rates.HIGHEST))
  lifters = [
    over_time
    if over_time and is_long(len(part), fps, over_time.model)
    else lifter
    for part in parts
  ]
  if not any(chosen.model.is_temporal for chosen in lifters):
    parts, lifters = [np.arange(len(frames))], [lifter]  # One call is faster.
  rows = []
  for part, chosen in zip(parts, lifters, strict=True):
    track = frames[part], keypoints[part]
    if chosen.model.is_temporal:
      track = every_frame(*track, step)
    lifted = lift(chosen, track[1], fps)
    numbers, seen = track
    if lifted.exchanged is not None:
      seen = exchange_joints(seen, lifted.exchanged, joint_set, lifter.skeleton)
    rows.append((numbers, seen, lifted.poses, lifted.errors))
  return tuple(np.concatenate(arrays) for arrays in zip(*rows, strict=True))
