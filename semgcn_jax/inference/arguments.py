"""Reads the arguments of a lifter, and rejects those that cannot be right."""

import dataclasses
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.errors import SettingError, UserError, choose
from semgcn_jax.geometry.joint_sets import (
  JOINT_SETS,
  MIN_KEYPOINTS,
  joints_of,
  resolve,
)
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation.points import NAMES


class Options(TypedDict, total=False):
  """The keyword arguments that everything that reads keypoints takes.

  Attributes:
    min_confidence: Keypoints with a lower confidence count as not found;
      by default 0.
    field_of_view: The field of view of the longer side, degrees, if known; one
      number, or one per pose.
    focal_length: The focal length in pixels, if known, instead.
    center: The principal point in pixels, `[2]` or `[..., 2]`; by default the
      middle of the image.
  """

  min_confidence: float
  field_of_view: ArrayLike | None
  focal_length: ArrayLike | None
  center: ArrayLike | None


def knows_lens(options: Options) -> bool:
  """Returns whether the focal length or the field of view is given."""
  return any(
    options.get(name) is not None for name in ('focal_length', 'field_of_view')
  )


@dataclasses.dataclass(frozen=True)
class Arguments:
  """The arguments of a lifter, as arrays of N poses.

  Attributes:
    keypoints: Pixels and confidence, `[N, J, 3]`, zeros where not found.
    joints: The key of their joint set in `JOINT_SETS`.
    image_size: The width and height of each image, `[N, 2]`, pixels.
    focal: The focal lengths, `[N]`, pixels, 0 if unknown.
    center: The principal points, `[N, 2]`, pixels.
    leading: The leading dimensions of the poses as given.
  """

  keypoints: np.ndarray
  joints: str
  image_size: np.ndarray
  focal: np.ndarray
  center: np.ndarray
  leading: tuple[int, ...]

  @property
  def h36m(self) -> np.ndarray:
    """The keypoints of the 16 joints of `H36M`, `[N, 16, 3]`."""
    return joints_of(self.keypoints, self.joints)

  @property
  def too_few(self) -> np.ndarray:
    """Masks the poses with too few keypoints to lift, `[N]`."""
    found = self.keypoints[..., 2] > 0
    few = found.sum(axis=-1) < MIN_KEYPOINTS
    return few | ~found[:, JOINT_SETS[self.joints].used].any(axis=-1)

  def arrays(self, number: int) -> tuple[np.ndarray, ...]:
    """Returns what `programs.make_program` takes.

    Args:
      number: The index of the joint set among those of the network.
    """
    points = np.zeros((len(self.keypoints), len(NAMES), 3), np.float32)
    for index, name in enumerate(JOINT_SETS[self.joints].points):
      if name in NAMES:
        points[:, NAMES.index(name)] = self.keypoints[:, index]
    numbers = np.full(len(points), number, np.int32)
    return points, numbers, self.image_size, self.focal, self.center

  def check_pixels(self) -> None:
    """Rejects keypoints that are probably a mistake of the caller.

    Raises:
      UserError: The keypoints seem to be normalized, lie far outside their
        images, or belong to a crowd that is upside down.
    """
    found, size, joints = self.keypoints, self.image_size, self.joints
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
        ' beyond 2, so they seem to be normalized; give pixels'
      )
    width = size.max(axis=-1)[:, None]
    beyond = np.maximum(-xy, xy - size[:, None]).max(axis=-1) / width
    beyond = np.where(seen, beyond, 0)
    if beyond.max() > 1:
      pose, joint = np.unravel_index(beyond.argmax(), beyond.shape)
      raise UserError(
        f'`keypoints`: pose {pose} has {JOINT_SETS[joints].names[joint]} at'
        f' {xy[pose, joint, 0]:g}, {xy[pose, joint, 1]:g}, far outside its'
        f' image of {size[pose, 0]:g} x {size[pose, 1]:g} pixels'
      )
    _check_upright(xy, seen, joints)


def _check_upright(xy: np.ndarray, seen: np.ndarray, joints: str) -> None:
  """Raises a UserError if nearly all ankles are above the shoulders."""
  named = JOINT_SETS[joints]
  heights = []
  for joint in ('Thorax', 'LAnkle', 'RAnkle'):
    source = list(named.sources[H36M.joints.index(joint)])
    there = seen[:, source].all(axis=-1)
    heights.append(np.where(there, xy[:, source, 1].mean(axis=-1), np.nan))
  above = np.concatenate([ankle - heights[0] for ankle in heights[1:]])
  above = above[np.isfinite(above)]
  if len(above) >= 10 and (above < 0).mean() > 0.9:
    pose = int((np.nan_to_num(heights[1] - heights[0]) < 0).argmax())
    raise UserError(
      f'`keypoints`: {(above < 0).sum()} of {len(above)} ankles are above the'
      f' shoulders (in pose {pose}, left_ankle at y ='
      f' {heights[1][pose]:.0f}); y must point down'
    )


def read_arguments(
  keypoints: ArrayLike,
  image_size: ArrayLike,
  joints: str,
  *,
  min_confidence: float = 0.0,
  field_of_view: ArrayLike | None = None,
  focal_length: ArrayLike | None = None,
  center: ArrayLike | None = None,
) -> Arguments:
  """Reads the arguments of `Lifter.lift` and its `Options`.

  Raises:
    UserError: The keypoints do not fit the joint set.
    SettingError: Another argument is out of range or has the wrong shape.
  """
  if not isinstance(joints, str):
    raise SettingError(f'`joints={joints}`: give the name of a joint set')
  count = choose('joints', joints, JOINT_SETS).num_joints
  found = _read_keypoints(keypoints, joints, count, min_confidence)
  leading = found.shape[:-2]
  size = _per_pose(image_size, 'image_size', leading, 2)
  if not (np.isfinite(size) & (size > 0)).all():
    raise SettingError('`image_size`: give width and height in pixels, above 0')
  middle = size / 2
  if center is not None:
    middle = _per_pose(center, 'center', leading, 2)
  if not np.isfinite(middle).all():
    raise SettingError('`center`: must be finite numbers')
  focal = _focal_lengths(focal_length, field_of_view, size, leading)
  found = found.reshape(-1, *found.shape[-2:])
  return Arguments(found, joints, size, focal, middle, leading)


def _read_keypoints(
  keypoints: ArrayLike, joints: str, count: int, min_confidence: float
) -> np.ndarray:
  """Reads keypoints of `count` joints, `[..., J, 2]` or `[..., J, 3]`.

  Those of a whole body may follow them.

  Returns:
    Keypoints `[..., J, 3]` float32, with zeros where they were not found.
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


def _per_pose(
  values: ArrayLike, name: str, leading: Sequence[int], size: int = 0
) -> np.ndarray:
  """Repeats an argument for each of N poses, `[N]` or `[N, size]` float32.

  It is one value, or one per pose: a number, or a vector of `size` numbers.
  """
  last = (size,) if size else ()
  try:
    array = np.asarray(values, np.float32)
    if array.shape[array.ndim - len(last) :] != last:
      raise ValueError(array.shape)
    array = np.broadcast_to(array, (*leading, *last))
  except (TypeError, ValueError) as error:
    wanted = f'{size} numbers' if size else 'one number'
    raise SettingError(
      f'`{name}`: give {wanted}, or {wanted} per pose'
    ) from error
  return array.reshape(-1, *last).astype(np.float32)


def _focal_lengths(
  focal_length: ArrayLike | None,
  field_of_view: ArrayLike | None,
  size: np.ndarray,
  leading: Sequence[int],
) -> np.ndarray:
  """Computes the focal length of each pose, `[N]`, pixels, 0 if unknown."""
  if focal_length is not None and field_of_view is not None:
    raise SettingError('give `focal_length` or `field_of_view`, not both')
  if focal_length is not None:
    focal = _per_pose(focal_length, 'focal_length', leading)
    if not (np.isfinite(focal) & (focal > 0)).all():
      raise SettingError('`focal_length`: must be above 0, in pixels')
    return focal
  if field_of_view is not None:
    degrees = _per_pose(field_of_view, 'field_of_view', leading)
    if not ((degrees >= 1) & (degrees <= 179)).all():
      raise SettingError('`field_of_view`: must be from 1 to 179 degrees')
    return size.max(axis=-1) / (2 * np.tan(np.radians(degrees) / 2))
  return np.zeros(len(size), np.float32)
