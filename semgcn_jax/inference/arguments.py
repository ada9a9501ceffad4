"""Reads the arguments of a lifter, and refuses what cannot be right."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.errors import SettingError, UserError, choose
from semgcn_jax.geometry.joint_sets import JOINT_SETS, MIN_KEYPOINTS, resolve
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation.points import NAMES


@dataclasses.dataclass(frozen=True)
class Arguments:
  """The arguments of a lifter, in arrays of N poses.

  Attributes:
    keypoints: Pixels and confidence, `[N, J, 3]`, zeros where not found.
    image_size: The width and height of each image, `[N, 2]`, pixels.
    focal: The focal lengths, `[N]`, pixels, 0 where they are not known.
    center: The principal points, `[N, 2]`, pixels.
    leading: The shape of the poses, as they were given.
  """

  keypoints: np.ndarray
  image_size: np.ndarray
  focal: np.ndarray
  center: np.ndarray
  leading: tuple[int, ...]


def read_arguments(
  keypoints: ArrayLike,
  image_size: ArrayLike,
  joints: str,
  *,
  min_confidence: float,
  field_of_view: ArrayLike | None,
  focal_length: ArrayLike | None,
  center: ArrayLike | None,
) -> Arguments:
  """Reads the arguments of `Lifter.lift`, which says what they are.

  Raises:
    UserError: The keypoints cannot be those of the joint set.
    SettingError: Another argument is out of its range, or does not fit.
  """
  if not isinstance(joints, str):
    raise SettingError(f'`joints={joints}`: give the name of a joint set')
  count = choose('joints', joints, JOINT_SETS).num_joints
  found = read_keypoints(keypoints, joints, count, min_confidence)
  leading = found.shape[:-2]
  size = for_each(image_size, 'image_size', leading, 2)
  if not (np.isfinite(size) & (size > 0)).all():
    raise SettingError('`image_size`: give width and height in pixels, above 0')
  middle = size / 2
  if center is not None:
    middle = for_each(center, 'center', leading, 2)
  if not np.isfinite(middle).all():
    raise SettingError('`center`: must be finite numbers')
  return Arguments(
    found.reshape(-1, *found.shape[-2:]),
    size,
    focal_lengths(focal_length, field_of_view, size, leading),
    middle,
    leading,
  )


def read_keypoints(
  keypoints: ArrayLike, joints: str, count: int, min_confidence: float
) -> np.ndarray:
  """Reads keypoints.

  Args:
    keypoints: `[..., J, 2]`, pixels, or `[..., J, 3]` with the confidence; the
      J of the set come first, and those of a whole body may follow.
    joints: The key of their joint set, for the messages.
    count: The number of joints of the set.
    min_confidence: Keypoints of a lower confidence count as not found.

  Returns:
    Keypoints `[..., J, 3]` float32, with zeros where they were not found.

  Raises:
    UserError: They are no such array, or a confidence is not from 0 to 1.
    SettingError: `min_confidence` is not.
  """
  try:
    array = np.asarray(keypoints, np.float32)
  except (TypeError, ValueError) as error:
    raise UserError(f'`keypoints`: are not an array ({error})') from error
  if array.ndim < 2 or array.shape[-1] not in (2, 3):
    raise UserError(
      f'`keypoints`: have the shape {array.shape}; give [..., {count}, 2] or'
      f' [..., {count}, 3]'
    )
  resolve(joints, [array.shape[-2]], '`keypoints`', 'joints')
  array = array[..., :count, :]
  if array.shape[-1] == 2:
    array = np.concatenate([array, np.ones_like(array[..., :1])], axis=-1)
  try:
    is_share = 0 <= min_confidence <= 1
  except TypeError:
    is_share = False
  if not is_share:
    raise SettingError(
      f'`min_confidence={min_confidence}`: must be from 0 to 1'
    )
  confidence = array[..., 2]
  highest = np.nanmax(confidence, initial=0)
  if highest > 1.01 or np.nanmin(confidence, initial=0) < -1e-6:
    worst = highest if highest > 1.01 else np.nanmin(confidence)
    raise UserError(
      f'`keypoints`: have the confidence {worst:g}; it must be from 0 to 1'
    )
  found = np.isfinite(array).all(axis=-1) & (confidence > 0)
  found &= confidence >= min_confidence
  return np.where(found[..., None], np.clip(array, -1e7, 1e7), 0)


def check_pixels(found: np.ndarray, size: np.ndarray, joints: str) -> None:
  """Refuses keypoints that are probably a mistake of the caller.

  Args:
    found: Keypoints `[N, J, 3]`, pixels and confidence.
    size: The width and height of each image, `[N, 2]`.
    joints: The key of their joint set.

  Raises:
    UserError: The keypoints seem to be normalised, lie far outside of their
      images, or belong to a crowd that stands upside down.
  """
  seen = found[..., 2] > 0
  if not seen.any():
    return
  xy = found[..., :2]
  farthest = np.where(seen[..., None], np.abs(xy), 0).max(axis=(1, 2))
  small = (seen.sum(axis=-1) >= MIN_KEYPOINTS) & (farthest <= 2)
  if small.any():
    pose = int(small.argmax())
    joint = int(seen[pose].argmax())
    raise UserError(
      f'`keypoints`: pose {pose} has {JOINT_SETS[joints].names[joint]} at'
      f' {xy[pose, joint, 0]:.3g}, {xy[pose, joint, 1]:.3g} and no keypoint'
      ' beyond 2, so they seem to be normalised; give pixels'
    )
  width = size.max(axis=-1)[:, None]
  beyond = np.maximum(-xy, xy - size[:, None]).max(axis=-1) / width
  beyond = np.where(seen, beyond, 0)
  if beyond.max() > 1:
    pose, joint = np.unravel_index(beyond.argmax(), beyond.shape)
    raise UserError(
      f'`keypoints`: pose {pose} has {JOINT_SETS[joints].names[joint]} at'
      f' {xy[pose, joint, 0]:g}, {xy[pose, joint, 1]:g}, far outside of its'
      f' image of {size[pose, 0]:g} x {size[pose, 1]:g} pixels'
    )
  named = JOINT_SETS[joints]
  heights = []
  for joint in ('Thorax', 'LAnkle', 'RAnkle'):
    source = list(named.sources[H36M.joints.index(joint)])
    there = seen[:, source].all(axis=-1)
    y = np.where(there, xy[:, source, 1].mean(axis=-1), np.nan)
    heights.append(y)
  above = np.concatenate([ankle - heights[0] for ankle in heights[1:]])
  above = above[np.isfinite(above)]
  if len(above) >= 10 and (above < 0).mean() > 0.9:
    pose = int((np.nan_to_num(heights[1] - heights[0]) < 0).argmax())
    raise UserError(
      f'`keypoints`: {(above < 0).sum()} of {len(above)} ankles are above the'
      f' shoulders (in pose {pose}, left_ankle at y ='
      f' {heights[1][pose]:.0f}); y must point down'
    )


def for_each(
  values: ArrayLike, name: str, leading: Sequence[int], size: int = 0
) -> np.ndarray:
  """Repeats an argument for each pose.

  Args:
    values: One value, or one for each pose.
    name: The name of the argument, for the message.
    leading: The shape of the poses, of which there are N.
    size: Of how many numbers a value is; 0 for a number by itself.

  Returns:
    The values, `[N]` or `[N, size]` float32.

  Raises:
    SettingError: The values do not fit the poses.
  """
  last = (size,) if size else ()
  try:
    array = np.asarray(values, np.float32)
    if array.shape[array.ndim - len(last) :] != last:
      raise ValueError(array.shape)
    array = np.broadcast_to(array, (*leading, *last))
  except (TypeError, ValueError) as error:
    wanted = f'{size} numbers' if size else 'a number'
    raise SettingError(
      f'`{name}`: give {wanted}, or as many for each pose'
    ) from error
  return array.reshape(-1, *last).astype(np.float32)


def focal_lengths(
  focal_length: ArrayLike | None,
  field_of_view: ArrayLike | None,
  size: np.ndarray,
  leading: Sequence[int],
) -> np.ndarray:
  """Takes the focal length of each pose.

  Args:
    focal_length: Focal lengths in pixels, or None.
    field_of_view: Fields of view of the longer side in degrees, or None.
    size: The width and height of each image in pixels, `[N, 2]`.
    leading: The shape of the poses, of which there are N.

  Returns:
    The focal lengths in pixels, `[N]`, 0 where they are not known.

  Raises:
    SettingError: Both are given, or one is out of its range.
  """
  if focal_length is not None and field_of_view is not None:
    raise SettingError('give `focal_length` or `field_of_view`, not both')
  if focal_length is not None:
    focal = for_each(focal_length, 'focal_length', leading)
    if not (np.isfinite(focal) & (focal > 0)).all():
      raise SettingError('`focal_length`: must be above 0, in pixels')
    return focal
  if field_of_view is not None:
    degrees = for_each(field_of_view, 'field_of_view', leading)
    if not ((degrees >= 1) & (degrees <= 179)).all():
      raise SettingError('`field_of_view`: must be from 1 to 179 degrees')
    return size.max(axis=-1) / (2 * np.tan(np.radians(degrees) / 2))
  return np.zeros(len(size), np.float32)


def place_points(keypoints: np.ndarray, joints: str) -> np.ndarray:
  """Puts keypoints, `[N, J, 3]`, in the order of `NAMES`, `[N, P, 3]`."""
  points = np.zeros((len(keypoints), len(NAMES), 3), np.float32)
  for index, name in enumerate(JOINT_SETS[joints].points):
    if name in NAMES:
      points[:, NAMES.index(name)] = keypoints[:, index]
  return points


def few_keypoints(keypoints: np.ndarray, joints: str) -> np.ndarray:
  """Tells which poses cannot be told from their keypoints, `[N]`.

  Args:
    keypoints: The keypoints, `[N, J, 3]`.
    joints: The key of their joint set in `JOINT_SETS`.
  """
  found = keypoints[..., 2] > 0
  few = found.sum(axis=-1) < MIN_KEYPOINTS
  return few | ~found[:, JOINT_SETS[joints].used].any(axis=-1)
