"""Reads the arguments of a lifter, and rejects those that cannot be right."""

import dataclasses
from collections.abc import Sequence
from typing import Self, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.detections.persons import MAX_CONFIDENCE
from semgcn_jax.errors import SettingError, UserError, choose
from semgcn_jax.geometry.joint_sets import (
  MIN_KEYPOINTS,
  joint_sets_of,
  joints_of,
  resolve,
)
from semgcn_jax.geometry.skeletons import H36M, JointSet, Skeleton
from semgcn_jax.simulation.points import points_of

# Odd poses and keypoints are left out if they are at most these shares.
_ODD_POSES, _ODD_KEYPOINTS = 0.5, 0.1
_OUTSIDE = 0.02  # The same for keypoints this far outside, over its size.
_VIEW = 3.2, 150.0  # The field of view of a lens, degrees; not of radians.


class PoseError(UserError):
  """A mistake in one of the poses.

  Attributes:
    pose: The index of the pose.
    reason: What is wrong with it.
  """

  def __init__(self, pose: int, reason: str):
    super().__init__(f'`keypoints`: pose {pose} {reason}')
    self.pose = pose
    self.reason = reason


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
    joint_set: What they are.
    image_size: The width and height of each image, `[N, 2]`, pixels.
    focal: The focal lengths, `[N]`, pixels, 0 if unknown.
    center: The principal points, `[N, 2]`, pixels.
    leading: The leading dimensions of the poses as given.
    skeleton: The skeleton of the poses.
  """

  keypoints: np.ndarray
  joint_set: JointSet
  image_size: np.ndarray
  focal: np.ndarray
  center: np.ndarray
  leading: tuple[int, ...]
  skeleton: Skeleton = H36M

  @property
  def joints(self) -> np.ndarray:
    """The keypoints of the skeleton's joints, `[N, J, 3]`."""
    return joints_of(self.keypoints, self.joint_set)

  @property
  def too_few(self) -> np.ndarray:
    """Masks the poses with too few keypoints to lift, `[N]`."""
    found = self.keypoints[..., 2] > 0
    few = found.sum(axis=-1) < MIN_KEYPOINTS
    return few | ~found[:, self.joint_set.used].any(axis=-1)

  def arrays(self, number: int) -> tuple[np.ndarray, ...]:
    """Returns what `programs.make_program` takes.

    Args:
      number: The index of the joint set among those of the network.
    """
    names = points_of(self.skeleton).names
    points = np.zeros((len(self.keypoints), len(names), 3), np.float32)
    for index, name in enumerate(self.joint_set.points):
      if name in names:
        points[:, names.index(name)] = self.keypoints[:, index]
    numbers = np.full(len(points), number, np.int32)
    return points, numbers, self.image_size, self.focal, self.center

  def checked(self) -> Self:
    """Rejects what is probably a mistake of the caller.

    Returns:
      The arguments without single odd keypoints and poses, see `within_images`.

    Raises:
      PoseError: Nearly everybody is upside down.
      UserError: See `within_images`.
    """
    given = self.within_images()
    if self.skeleton == H36M:
      given.check_upright()
    return given

  def within_images(self) -> Self:
    """Checks that keypoints are pixels of their images, in any joint set.

    Returns:
      The arguments without single odd keypoints and poses: those far outside
      their image, and poses of which every keypoint is in its corner.

    Raises:
      PoseError: Many keypoints seem to be normalized, or lie outside their
        images.
      UserError: The lens or the size of the images cannot be.
    """
    found, size = self.keypoints, self.image_size
    seen = found[..., 2] > 0
    if not seen.any():
      return self
    xy = found[..., :2]
    farthest = np.where(seen[..., None], np.abs(xy), 0).max(axis=(1, 2))
    small = (seen.sum(axis=-1) >= MIN_KEYPOINTS) & (farthest <= 2)
    if small.sum() > _ODD_POSES * seen.any(axis=-1).sum():
      pose = int(small.argmax())
      raise PoseError(
        pose,
        f'has {self._place(pose, int(seen[pose].argmax()))} and no keypoint'
        ' beyond 2, so they seem to be normalized; give pixels',
      )
    width = size.max(axis=-1)[:, None]
    beyond = np.maximum(-xy, xy - size[:, None]).max(axis=-1) / width
    far = seen & (beyond > 1)
    if far.sum() > _ODD_KEYPOINTS * seen.sum():
      pose, joint = np.unravel_index(
        np.where(far, beyond, 0).argmax(), far.shape
      )
      raise PoseError(
        int(pose),
        f'has {self._place(int(pose), int(joint))}, far outside its image of'
        f' {size[pose, 0]:g} x {size[pose, 1]:g} pixels',
      )
    seen &= ~far & ~small[:, None]
    self._check_size(xy, seen)
    self._check_lens()
    kept = np.where(seen[..., None], found, 0)
    return dataclasses.replace(self, keypoints=kept)

  def check_upright(self) -> None:
    """Raises a PoseError if nearly everybody, of `H36M`, is upside down.

    Those who stand on their hands, whose wrists are beyond the shoulders, are
    not.
    """
    xy, seen = self.keypoints[..., :2], self.keypoints[..., 2] > 0
    heights = {}
    for joint in ('Thorax', 'LAnkle', 'RAnkle', 'LWrist', 'RWrist'):
      source = list(self.joint_set.sources[H36M.joints.index(joint)])
      there = seen[:, source].all(axis=-1)
      heights[joint] = np.where(there, xy[:, source, 1].mean(axis=-1), np.nan)
    below = np.stack(
      [heights[f'{s}Ankle'] - heights['Thorax'] for s in ('L', 'R')]
    )
    hands = np.nan_to_num(
      [heights[f'{s}Wrist'] - heights['Thorax'] for s in ('L', 'R')]
    )
    below[:, (hands > 0).any(axis=0) & (below < 0).any(axis=0)] = np.nan
    known = below[np.isfinite(below)]
    if len(known) >= 10 and (known < 0).mean() > 0.9:
      pose = int((np.nan_to_num(below) < 0).any(axis=0).argmax())
      raise PoseError(
        pose,
        f'is upside down, like {(known < 0).sum()} of {len(known)} legs, whose'
        ' ankles are above the shoulders; y must point down',
      )

  def _place(self, pose: int, joint: int) -> str:
    """Formats where a keypoint is, such as 'nose at 3, 4'."""
    x, y = self.keypoints[pose, joint, :2]
    return f'{self.joint_set.names[joint]} at {x:.6g}, {y:.6g}'

  def _check_size(self, xy: np.ndarray, seen: np.ndarray) -> None:
    """Raises a UserError if width and height seem to be exchanged."""
    margin = 1 + _OUTSIDE
    size = self.image_size[:, None]
    outside = seen & (xy > margin * size).any(axis=-1)
    exchanged = seen & (xy > margin * size[..., ::-1]).any(axis=-1)
    if outside.sum() > _OUTSIDE * seen.sum() and not exchanged.any():
      pose, joint = np.argwhere(outside)[0].tolist()
      width, height = self.image_size[pose]
      raise UserError(
        f'`image_size={width:g}x{height:g}`: {self._place(pose, joint)} is'
        f' outside; is it {height:g}x{width:g}?'
      )

  def _check_lens(self) -> None:
    """Raises a UserError if no lens has such a field of view."""
    width = self.image_size.max(axis=-1)
    degrees = 2 * np.degrees(np.arctan2(width / 2, self.focal))
    wrong = (self.focal > 0) & ((degrees < _VIEW[0]) | (degrees > _VIEW[1]))
    if wrong.any():
      pose = int(wrong.argmax())
      raise UserError(
        f'`focal_length={self.focal[pose]:.4g}`: a lens that sees'
        f' {degrees[pose]:.3g} degrees; give pixels, or `field_of_view` in'
        ' degrees'
      )


def read_arguments(
  keypoints: ArrayLike,
  image_size: ArrayLike,
  joints: str,
  *,
  skeleton: Skeleton = H36M,
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
  joint_set = choose('joints', joints, joint_sets_of(skeleton))
  found = _read_keypoints(keypoints, joint_set, skeleton, min_confidence)
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
  return Arguments(found, joint_set, size, focal, middle, leading, skeleton)


def _read_keypoints(
  keypoints: ArrayLike,
  joint_set: JointSet,
  skeleton: Skeleton,
  min_confidence: float,
) -> np.ndarray:
  """Reads keypoints of a joint set, `[..., J, 2]` or `[..., J, 3]`.

  Those of a whole body may follow them.

  Returns:
    Keypoints `[..., J, 3]` float32, with zeros where they were not found.
  """
  count = joint_set.num_joints
  try:
    if np.ma.isMaskedArray(keypoints):
      keypoints = np.ma.filled(np.ma.asarray(keypoints, float), np.nan)
    array = np.asarray(keypoints, np.float32)
  except (TypeError, ValueError) as error:
    raise UserError(f'`keypoints`: are not an array ({error})') from error
  if array.ndim < 2 or array.shape[-1] not in (2, 3):
    raise UserError(
      f'`keypoints`: have the shape {array.shape}; give [..., {count}, 2] or'
      f' [..., {count}, 3]'
    )
  counts = [array.shape[-2]]
  resolve(joint_set.name, counts, '`keypoints`', 'joints', skeleton)
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
  if highest > MAX_CONFIDENCE or np.nanmin(confidence, initial=0) < -1e-6:
    worst = highest if highest > MAX_CONFIDENCE else np.nanmin(confidence)
    raise UserError(
      f'`keypoints`: have the confidence {worst:g}; it must be from 0 to 1'
    )
  confidence = np.minimum(confidence, 1)
  array = np.concatenate([array[..., :2], confidence[..., None]], axis=-1)
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
