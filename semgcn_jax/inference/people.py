"""Lifts everybody in a clip."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.detections.tracking import cut_track, every_frame
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import JOINT_SETS, joints_of
from semgcn_jax.inference.clips import enough, is_long
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.placing import to_height


def lift_clip(
  lifter: Lifter,
  clip: Clip,
  over_time: Lifter | None = None,
  *,
  min_confidence: float = 0.0,
  focal_length: float | None = None,
  field_of_view: float | None = None,
  height: float | None = None,
) -> Clip:
  """Lifts everybody in a clip.

  Args:
    lifter: Lifts the people.
    clip: The clip, as it is read: its people have keypoints of its joint set.
    over_time: If given, it lifts those who are followed for long enough instead
      (see `is_long`); it sees time.
    min_confidence: See `Lifter.lift`, as for the height.
    focal_length: See there; with it, or the next, people get places, too.
    field_of_view: See there.
    height: See there.

  Returns:
    The clip with poses and keypoints of the 16 joints; who is lifted over time
    is in every frame of the parts in which the person is followed.

  Raises:
    UserError: The keypoints cannot be lifted.
    SettingError: An argument is wrong.
  """
  options: dict[str, Any] = {
    'image_size': clip.image_size,
    'joints': clip.joint_set,
    'min_confidence': min_confidence,
    'focal_length': focal_length,
    'field_of_view': field_of_view,
  }

  def lift(lifter, keypoints, fps):
    try:
      return lifter.lift(keypoints, fps=fps, **options)
    except UserError as error:
      if isinstance(error, SettingError):
        raise
      raise UserError(f'{clip.source}: {error}') from error

  def lift_person(person):
    keypoints = _cleaned(person.keypoints, clip.joint_set)
    frames, keypoints, poses, errors = _lift_parts(
      person.frames, keypoints, clip.fps, lift, lifter, over_time
    )
    places = None
    if height is not None:
      poses, errors = to_height(poses, errors, height)
    seen = keypoints.copy()
    seen[seen[..., 2] < min_confidence] = 0
    if focal_length is not None or field_of_view is not None:
      places = lifter.place(poses, keypoints, **options)
      # Poses of frames that show too little tell of others where the person is.
      places[~enough(seen, clip.joint_set)] = np.nan
    seen = joints_of(seen, clip.joint_set)
    return Person(person.name, frames, seen, poses, errors, places)

  people = tuple(lift_person(person) for person in clip.people)
  return dataclasses.replace(clip, people=people, joint_set='')


def _cleaned(keypoints: np.ndarray, joint_set: str) -> np.ndarray:
  """Takes the first keypoints, and marks what detectors did not find."""
  keypoints = keypoints[:, : JOINT_SETS[joint_set].num_joints].copy()
  keypoints[(keypoints[..., :2] == 0).all(axis=-1)] = 0
  # Some detectors are surer than sure; none counts in percent.
  if keypoints[..., 2].max() < 10:
    keypoints[..., 2] = np.minimum(keypoints[..., 2], 1)
  return keypoints


def _lift_parts(
  frames: np.ndarray,
  keypoints: np.ndarray,
  fps: float,
  lift: Callable[[Lifter, np.ndarray, float], Lifted],
  lifter: Lifter,
  over_time: Lifter | None,
) -> tuple[np.ndarray, ...]:
  """Lifts each part of a person's track by the lifter that suits its length.

  Args:
    frames: The numbers of the frames, `[T]`.
    keypoints: The keypoints in them, `[T, J, 3]`.
    fps: The frames a second.
    lift: Calls a lifter on keypoints, `[T, J, 3]`, so many a second.
    lifter: See `lift_clip`, as for the next one.
    over_time: See there.

  Returns:
    Of all frames that are lifted the numbers, the keypoints, the poses and
    their errors.
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
    rows.append((*track, lifted.poses, lifted.errors))
  return tuple(np.concatenate(arrays) for arrays in zip(*rows, strict=True))
