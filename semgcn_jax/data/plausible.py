"""Checks, at little cost, whether poses can be what they are taken for."""

import pathlib
from collections.abc import Collection

import numpy as np

from semgcn_jax.data.npz import Poses2D, Poses3D, read_metadata
from semgcn_jax.errors import UserError

# The span in metres of any body that is filmed, from a toddler's to a group's.
MIN_SPAN, MAX_SPAN = 0.1, 10.0
_UNITS = {'centimetres': 0.01, 'millimetres': 0.001}
_ROWS = 20  # The most frames of a clip that are looked at.
# Pixels are larger than this, coordinates of the normalised screen smaller.
MIN_PIXELS = 5
# How the layouts of other detectors than Human3.6M's are called.
_OTHERS = ('coco', 'mpii', 'openpose', 'body', 'halpe', 'mediapipe', 'blaze')


def check_metadata(
  path: pathlib.Path,
  joints: int,
  left: Collection[int],
  right: Collection[int],
) -> None:
  """Checks that a file of 2D does not say that it holds other joints.

  Args:
    path: The file.
    joints: The number of joints that it holds.
    left: The indices of the left joints, as that number lets expect.
    right: Those of the right joints.

  Raises:
    UserError: The file's metadata contradict that.
  """
  metadata = read_metadata(path)
  if metadata.get('num_joints', joints) != joints:
    raise UserError(
      f'{path}: holds {joints} joints, but its metadata say'
      f' {metadata["num_joints"]!r:.40}; mend the file'
    )
  layout = str(metadata.get('layout_name', '')).lower()
  sides = metadata.get('keypoints_symmetry')
  if any(other in layout for other in _OTHERS):
    problem = f'its metadata say that it holds the joints of {layout!r:.40}'
  elif isinstance(sides, list | tuple | np.ndarray) and len(sides) == 2:
    given = [{int(joint) for joint in side} for side in sides]
    if set(left) <= given[0] and set(right) <= given[1]:
      return
    problem = 'its metadata say that other joints are left and right'
  else:
    return
  raise UserError(
    f'{path}: {problem}, not those of Human3.6M; convert the output of the'
    ' detector by `source` of prepare_data.py'
  )


def check_3d(poses: Poses3D, name: str, subjects: Collection[str]) -> None:
  """Checks that the poses of subjects can be people in metres.

  Raises:
    UserError: They are all zero, or in another unit.
  """
  for subject in subjects:
    spans = []
    for action, clip in poses.get(subject, {}).items():
      span = np.ptp(clip[_rows(len(clip))].astype(np.float64), axis=1).max(-1)
      if len(span) and span.max() == 0:
        raise UserError(
          f'{name}: {subject} {action!r} has all joints in one place; mend the'
          ' file, or leave the subject or action out'
        )
      spans.append(span[np.isfinite(span)])
    span = np.median(np.concatenate(spans)) if sum(map(len, spans)) else 1.0
    if MIN_SPAN < span < MAX_SPAN:
      continue
    unit = next((u for u, m in _UNITS.items() if 0.4 < span * m < 4), None)
    way_out = f'multiply by {_UNITS[unit]:g}' if unit else 'convert the file'
    raise UserError(
      f'{name}: the poses of {subject} span {span:.4g}, not metres but'
      f' {unit or "an unknown unit"}; {way_out}'
    )


def check_2d(poses: Poses2D, name: str, subjects: Collection[str]) -> None:
  """Checks that the 2D of subjects can be pixels.

  Raises:
    UserError: It is all zero, or normalised to the screen.
  """
  for subject in subjects:
    largest = []
    for action, views in poses.get(subject, {}).items():
      for camera, view in enumerate(views):
        most = np.abs(view[_rows(len(view))]).max(initial=0)
        if len(view) and most == 0:
          raise UserError(
            f'{name}: {subject} {action!r} camera {camera} is all zero; mend'
            ' the file, or leave the subject or action out'
          )
        largest.append(most)
    if largest and np.nanmedian(largest) < MIN_PIXELS:
      raise UserError(
        f'{name}: the 2D of {subject} is normalised to the screen; give pixels'
      )


def _rows(frames: int) -> np.ndarray:
  """Picks some frames, evenly."""
  return np.unique(
    np.linspace(0, max(frames - 1, 0), min(frames, _ROWS), dtype=int)
  )
