"""Cheap sanity checks of poses: units, joint order, empty frames."""

import pathlib
import re
from collections.abc import Collection

import numpy as np

from semgcn_jax.data.npz import Poses2D, Poses3D, read_metadata
from semgcn_jax.errors import UserError, shortened

# The span in metres of any filmed body, from a toddler to a group.
MIN_SPAN, MAX_SPAN = 0.1, 10.0
MIN_SPAN_OF_CLIP = 0.01  # A single clip may show a closed hand.
# {unit: its metres, and the plausible span of people in metres, low and high}.
# A span of 40 to 90 may be a child in centimetres or a man in inches.
_UNITS = {
  'centimetres': (0.01, 0.4, 4.0),
  'inches': (0.0254, 1.0, 2.3),
  'millimetres': (0.001, 0.4, 4.0),
}
_ROWS = 20  # Frames of a clip to measure, at most.
MAX_EMPTY = 0.25  # Share of a clip's frames that may be all zero.
# Pixels are larger than this, coordinates of the normalized screen smaller.
MIN_PIXELS = 5
_WAY_OUT = 'fix the file, or leave the subject or action out'
# Names of layouts other than Human3.6M's.
_OTHERS = (
  *('coco', 'mpii', 'openpose', 'body', 'halpe', 'mediapipe', 'blaze'),
  *('alphapose', 'vitpose', 'mmpose', 'rtmpose', 'yolo', 'movenet'),
  *('humaneva', 'posetrack', 'crowdpose', 'smpl', '3dhp', 'panoptic', 'kinect'),
)


def check_metadata(
  path: pathlib.Path,
  joints: int,
  left: Collection[int],
  right: Collection[int],
) -> None:
  """Checks that the metadata of a 2D file do not claim other joints.

  Args:
    path: The file.
    joints: The number of joints in it.
    left: The expected indices of the left joints.
    right: The expected indices of the right joints.

  Raises:
    UserError: The metadata contradict them.
  """
  metadata = read_metadata(path)
  number = metadata.get('num_joints', joints)
  if isinstance(number, np.ndarray) and number.size == 1:
    number = number.item()
  if not isinstance(number, int | float) or number != joints:
    raise UserError(
      f'{path}: holds {joints} joints, but its metadata say'
      f' {shortened(repr(number))}; fix the file'
    )
  layout = str(metadata.get('layout_name', '')).lower()
  is_h36m = re.search(r'h(uman)?[ _-]?3[._]?6', layout)
  sides = metadata.get('keypoints_symmetry')
  if not is_h36m and any(other in layout for other in _OTHERS):
    problem = f'its metadata name the joints of {shortened(repr(layout))}'
  elif isinstance(sides, list | tuple | np.ndarray) and len(sides) == 2:
    try:
      given = [{int(joint) for joint in side} for side in sides]
    except (TypeError, ValueError, OverflowError):
      raise UserError(
        f'{path}: keypoints_symmetry in its metadata is not two lists of joint'
        ' indices; fix the file, or leave it out'
      ) from None
    if set(left) <= given[0] and set(right) <= given[1]:
      return
    problem = 'its metadata say that other joints are left and right'
  else:
    return
  raise UserError(
    f'{path}: {problem}, not those of Human3.6M; convert the output of the'
    ' detector with `source` of prepare_data.py'
  )


def check_3d(poses: Poses3D, name: str, subjects: Collection[str]) -> None:
  """Checks that the subjects' poses can be people in metres.

  Raises:
    UserError: Many poses of a clip are all zero, or some are in another unit.
  """
  for subject in subjects:
    spans = {}
    for action, clip in poses.get(subject, {}).items():
      some = clip[sample_rows(len(clip), _ROWS)].astype(np.float64)
      span = np.ptp(some, axis=1).max(-1)
      where = f'{name}: {subject} {action!r}'
      if len(span) and span.max() == 0:
        raise UserError(f'{where} has all joints in one place; {_WAY_OUT}')
      _check_filled(clip, where)
      if len(span := span[np.isfinite(span)]):
        spans[action] = span
    if not spans:
      continue
    wrong = {
      action: np.median(span)
      for action, span in spans.items()
      if not MIN_SPAN_OF_CLIP < np.median(span) < MAX_SPAN
    }
    median = np.median(np.concatenate([*spans.values()]))
    for action, span in wrong.items():
      if len(wrong) < len(spans):
        raise _wrong_unit(name, f'{subject} {action!r}', span)
    if not MIN_SPAN < median < MAX_SPAN:
      raise _wrong_unit(name, subject, median)


def _wrong_unit(name: str, whose: str, span: np.floating) -> UserError:
  """Returns the error for an implausible span, with the likely unit."""
  units = {
    unit: metres
    for unit, (metres, least, most) in _UNITS.items()
    if least < span * metres < most
  }
  way_out = ' or '.join(f'{metres:g}' for metres in units.values())
  return UserError(
    f'{name}: the poses of {whose} span {span:.4g}, not metres but'
    f' {" or ".join(units) or "an unknown unit"};'
    f' {f"multiply by {way_out}" if units else "convert the file to metres"}'
  )


def check_2d(poses: Poses2D, name: str, subjects: Collection[str]) -> None:
  """Checks that the subjects' 2D can be pixels.

  Raises:
    UserError: Much of a view is all zero, or it is on the normalized screen.
  """
  for subject in subjects:
    for action, views in poses.get(subject, {}).items():
      for camera, view in enumerate(views):
        where = f'{name}: {subject} {action!r} camera {camera}'
        values = np.abs(view[sample_rows(len(view), _ROWS)])
        # NaN and infinity are refused where they are used.
        most = values[np.isfinite(values)].max(initial=0)
        if len(view) and not view.any():
          raise UserError(f'{where} is all zero; {_WAY_OUT}')
        _check_filled(view, where)
        if np.isfinite(values).any() and most < MIN_PIXELS:
          raise UserError(
            f'{name}: the 2D of {subject} is normalized to the screen, as in'
            f' {action!r} camera {camera}; give pixels'
          )


def _check_filled(poses: np.ndarray, where: str) -> None:
  """Raises a UserError if many frames of poses `[T, J, D]` are all zero."""
  if not poses[..., 0].all():
    empty = int((~poses.any(axis=(1, 2))).sum())
    if empty > MAX_EMPTY * len(poses):
      raise UserError(
        f'{where}: {empty:,} of {len(poses):,} frames are all zero; {_WAY_OUT}'
      )


def sample_rows(frames: int, most: int) -> np.ndarray:
  """Selects at most `most` frames, evenly."""
  return np.unique(
    np.linspace(0, max(frames - 1, 0), min(frames, most), dtype=int)
  )
