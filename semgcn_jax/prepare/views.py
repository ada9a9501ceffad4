"""Turns detections into views of a clip: one person, with Human3.6M's joints.

A view is what one camera sees. The views of a clip are aligned to the same
frames, and gaps are interpolated.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from semgcn_jax.detections.detector_formats import numbered
from semgcn_jax.detections.joint_names import by_name
from semgcn_jax.detections.persons import Detection
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS, joints_of, resolve
from semgcn_jax.geometry.skeletons import H36M

# The share of a view's frames that must have a person. With fewer, the numbers
# in the file probably do not count frames.
MIN_DETECTED = 0.2
MAX_LATE = 0.2  # The share of a view that may be missing at its start.


@dataclasses.dataclass(frozen=True)
class View:
  """One person's detections in the frames of one camera.

  Attributes:
    source: One of its files, for messages.
    first: The number of the first frame in the files.
    is_whole: Whether the files also list frames without a person.
    poses: `[T, 16, 3]`, pixels x and y, and confidence, which is 0 for missing
      joints; T is 0 if nobody was ever found.
  """

  source: str
  first: int
  is_whole: bool
  poses: np.ndarray

  @property
  def last(self) -> int:
    """The number of the last frame in the files."""
    return self.first + len(self.poses) - 1


def read_view(paths: Sequence[pathlib.Path], joint_set: str = '') -> View:
  """Reads one camera's detections of one person.

  If a frame has several people, the one with the highest sum of confidences is
  taken.

  Args:
    paths: One file for all frames, or one for each frame.
    joint_set: The key of the joints in `JOINT_SETS`; '' infers it from their
      number.

  Raises:
    UserError: A file is damaged or in no known format, or too few frames have a
      person.
  """
  frames: dict[int, Detection] = {}
  named: set[int] = set()
  is_whole = True
  for frame, is_of_all, people in numbered(paths):
    named.add(frame)
    is_whole &= is_of_all
    for person in people:
      best = frames.get(frame)
      if best is None or _sureness(person) > _sureness(best):
        frames[frame] = person
  if not frames:
    return View(str(paths[0]), 0, is_whole, np.zeros((0, 16, 3)))
  first, count = min(named), max(named) + 1 - min(named)
  if len(frames) < MIN_DETECTED * count:
    raise UserError(
      f'{paths[0]}: a person in only {len(frames)} of {count:,} frames; image'
      ' ids must count the frames of the view'
    )
  source = str(paths[0])
  ordered, name = by_name(
    {n: [p] for n, p in frames.items()}, joint_set, source
  )
  sizes = {len(person.keypoints) for (person,) in ordered.values()}
  name = resolve(name, sizes, source)
  detected = np.zeros((count, *sizes, 3))
  for frame, (person,) in ordered.items():
    detected[frame - first] = person.keypoints
  found = joints_of(detected, JOINT_SETS[name])
  return View(str(paths[0]), first, is_whole, found)


def _sureness(person: Detection) -> float:
  """Returns the sum of a person's confidences."""
  return float(person.keypoints[:, 2].sum())


def align(
  views: dict[int, View],
  *,
  frames_3d: int | None = None,
  first_frame: int | None = None,
) -> tuple[dict[int, np.ndarray], list[str]]:
  """Aligns the views of a clip to the same frames, and fills gaps.

  The clip begins with the first frame of any view; each view ends with its own
  last. Missing joints and people are interpolated over time, and keep
  confidence 0. Frames before a view's first are filled only if they are few, as
  nobody was found in them.

  Args:
    views: {index of a camera: its view}, none of them empty.
    frames_3d: The number of frames in the clip's 3D, if available. It decides
      whether frames count from 0 or from 1, if only one fits.
    first_frame: The number of the clip's first frame; None finds it.

  Returns:
    {index of a camera: `[T, 16, 3]` float32}, and notes for the user about what
    was guessed and filled.

  Raises:
    UserError: A joint is not found in any frame, or the views do not count the
      same frames.
    SettingError: A view begins before `first_frame`, or long after it.
  """
  first = min(view.first for view in views.values())
  last = max(view.last for view in views.values())
  notes = []
  start = first if first_frame is None else first_frame
  if first < start:
    earliest = min(views.values(), key=lambda view: view.first)
    raise SettingError(
      f'`first_frame={start}`: {earliest.source} begins with frame {first}'
    )
  if first_frame is None:
    is_whole = all(view.is_whole for view in views.values())
    if frames_3d is not None and not is_whole:
      fits_0, fits_1 = last < frames_3d, 1 <= first and last <= frames_3d
      if fits_0 and not (fits_1 and first == 1):
        start = 0
      elif fits_1:
        start = 1
    if start != 0 or first != 0:
      notes.append(f'frame {start} is taken as the first')
  whole = {}
  for camera, view in views.items():
    _check_start(view, start, first_frame)
    late = np.zeros((view.first - start, 16, 3))
    detected = np.concatenate([late, view.poses])
    empty = int((~(detected[..., 2] > 0).any(axis=1)).sum())
    if empty:
      notes.append(
        f'camera {camera}: {empty:,} of {len(detected):,} frames have nobody;'
        ' interpolated from their neighbors'
      )
    whole[camera] = interpolate(detected, view.source).astype(np.float32)
  return whole, notes


def _check_start(view: View, start: int, first_frame: int | None) -> None:
  """Checks that a view lacks few frames at its start, and for a reason.

  Args:
    view: The view.
    start: The number of the clip's first frame.
    first_frame: The same, if the user has given it.

  Raises:
    UserError: It lacks many frames, or its files list every frame except the
      clip's first ones.
    SettingError: It lacks many frames after the user's `first_frame`.
  """
  late = view.first - start
  is_late = late > MAX_LATE * (late + len(view.poses))
  if first_frame is not None:
    if is_late:
      raise SettingError(
        f'`first_frame={first_frame}`: {view.source} begins with frame'
        f' {view.first}, too late to fill in the {late:,} frames before; give'
        ' the number of the first image'
      )
  elif is_late or (late and view.is_whole):
    raise UserError(
      f'{view.source}: begins with frame {view.first}, but the clip with frame'
      f' {start}; number the images of all views from the same first one'
      + ('' if is_late else f', or give `first_frame={start}` to fill them')
    )


def interpolate(detected: np.ndarray, source: str) -> np.ndarray:
  """Interpolates joints of confidence 0 linearly over time.

  Args:
    detected: Detections `[T, 16, 3]`: pixels x and y, and confidence.
    source: Their file, for the message.

  Returns:
    The detections, with all x and y filled in.

  Raises:
    UserError: A joint is not detected in any frame.
  """
  result, frames = detected.copy(), np.arange(len(detected))
  for joint in range(detected.shape[1]):
    there = detected[:, joint, 2] > 0
    if not there.any():
      raise UserError(
        f'{source}: {H36M.joints[joint]} is not detected in any frame; is'
        ' `joint_set` right?'
      )
    for axis in range(2):
      result[~there, joint, axis] = np.interp(
        frames[~there], frames[there], detected[there, joint, axis]
      )
  return result
