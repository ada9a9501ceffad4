"""Scores a lifter on the keypoints of a detector and unknown cameras.

The file is an npz of N frames, written by `prepare.film`:

  clean, noisy: COCO keypoints, `[N, 17, 3]`, pixels and confidence; 0 if not
    found
  size: the width and height of each image, `[N, 2]`, pixels
  targets: the poses, `[N, 16, 3]`, metres, camera frame, pelvis at the origin
  focal: the focal length of each camera, `[N]`, pixels
  action, pitch: the action's name, `[N]`, and how far the camera looks down,
    `[N]`, degrees; both optional
  sequence, frame: the number of the clip, `[N]`, and of the frame in it, `[N]`,
    at 10 fps; only networks that see time need them
  root, up: the pelvis, `[N, 3]`, metres, and the vertical, `[N, 3]`, in the
    camera frame, which score solved clips; both optional
"""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from semgcn_jax.errors import SettingError, UserError, shortened
from semgcn_jax.evaluation import metrics
from semgcn_jax.evaluation.motion import motion_errors
from semgcn_jax.evaluation.world import SCORES as WORLD
from semgcn_jax.evaluation.world import score_world, summarize
from semgcn_jax.files import read_arrays
from semgcn_jax.geometry.joint_sets import JOINT_SETS, MIN_KEYPOINTS
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.simulation.test_films import FPS
from semgcn_jax.solving.solver import solve_lifted
from semgcn_jax.text_tables import plain_table

KINDS = ('clean', 'noisy')
SCORES = {'mpjpe': 'MPJPE', 'n_mpjpe': 'N-MPJPE', 'p_mpjpe': 'P-MPJPE'}
_SHAPES = {
  'clean': (17, 3),
  'noisy': (17, 3),
  'size': (2,),
  'targets': (16, 3),
  'focal': (),
}
_MORE_SHAPES = {'root': (3,), 'up': (3,)}
_ACCELERATION = 'acceleration_error'
_BATCH = 4096  # Poses to compare in a call.
_LONG = 3.0  # Seconds of a solved clip whose camera and path are scored.
_UPPER = [
  H36M.joints.index(name)
  for name in (
    *('Thorax', 'Head', 'LShoulder', 'LElbow', 'LWrist'),
    *('RShoulder', 'RElbow', 'RWrist'),
  )
]
_LOWER = [
  number
  for number, name in enumerate(JOINT_SETS['coco'].names)
  if name.endswith(('hip', 'knee', 'ankle'))
]


@dataclasses.dataclass(frozen=True)
class Scored:
  """The scored frames of one kind of keypoints.

  Attributes:
    kept: Masks the K frames to score, with at least four keypoints, `[N]`.
    errors: {score: its values in mm, `[K]`}.
    poses: The lifted poses, `[K, 16, 3]`, metres.
    expected: The network's estimate of each joint's error, `[K, 16]`, mm.
    actual: The error of each joint, `[K, 16]`, mm.
    worlds: The scores of solved clips of 3 s or more; see `score_world`.
  """

  kept: np.ndarray
  errors: dict[str, np.ndarray]
  poses: np.ndarray
  expected: np.ndarray
  actual: np.ndarray
  worlds: tuple[dict[str, float], ...] = ()

  def motion(
    self, arrays: dict[str, np.ndarray], poses: np.ndarray | None = None
  ) -> dict[str, float]:
    """Scores the motion of these poses, or of others; see `motion_errors`."""
    if not {'sequence', 'frame'} <= arrays.keys():
      return {}
    sequence, frame = (arrays[n][self.kept] for n in ('sequence', 'frame'))
    cuts = (np.diff(sequence) != 0) | (np.diff(frame) != 1)
    views = np.cumsum(np.append(False, cuts))
    targets = arrays['targets'][self.kept]
    return motion_errors(self.poses if poses is None else poses, targets, views)


def read_wild(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of a file.

  Raises:
    UserError: The file is missing or damaged, or lacks an array.
  """
  try:
    content = read_arrays(path)
    optional = {'action', 'pitch', 'sequence', 'frame', 'root', 'up'}
    names = [*_SHAPES, *optional.intersection(content)]
    arrays = {name: content[name] for name in names}
  except OSError as error:
    raise UserError(
      f'{path}: {error.strerror}; make it with prepare_data.py --film'
    ) from error
  except (KeyError, ValueError) as error:
    raise UserError(
      f'{path}: does not hold keypoints to score ({type(error).__name__}:'
      f' {shortened(error, 200)}); make it with prepare_data.py --film'
    ) from error
  count = arrays['targets'].shape[:1]
  shapes = _SHAPES | _MORE_SHAPES
  for name, array in arrays.items():
    fits = array.shape == (*count, *shapes.get(name, ())) and array.ndim
    if not fits or array.dtype.kind not in ('U' if name == 'action' else 'fiu'):
      raise UserError(
        f'{path}: {name} is {array.dtype} of shape {array.shape}; make the file'
        ' again with prepare_data.py --film'
      )
  numbers = [a for name, a in arrays.items() if name != 'action']
  confidence = np.stack([arrays[kind][..., 2] for kind in KINDS])
  if (
    not all(np.isfinite(array).all() for array in numbers)
    or min(arrays['size'].min(initial=1), arrays['focal'].min(initial=1)) <= 0
    or confidence.min(initial=0) < 0
    or confidence.max(initial=0) > 1
    or np.abs(arrays['targets']).max(initial=0) > 100
  ):
    raise UserError(
      f'{path}: has impossible numbers; make the file again with'
      ' prepare_data.py --film'
    )
  return arrays


def score_wild(
  lifter: Lifter,
  arrays: dict[str, np.ndarray],
  *,
  use_focal: bool = False,
  solve: bool = False,
) -> dict[str, Any]:
  """Scores a lifter on single frames, or on sequences if it sees time.

  Args:
    lifter: The lifter.
    arrays: The result of `read_wild`.
    use_focal: Whether to give the lifter the focal lengths.
    solve: Whether to solve the sequences, which the lifter must see as such.

  Returns:
    A dict with these keys; errors are means in mm.
      clean, noisy: A dict of 'mpjpe', 'n_mpjpe', 'p_mpjpe'; 'expected', the
        expected error; 'correlation', of the expected and actual errors of
        joints; 'num_poses'; 'left_out', the number of frames with fewer than
        four keypoints; and, if the file has sequences, the result of
        `motion.motion_errors`; and, if it is solved and has the vertical, that
        of `world.summarize`, 'world'.
      frozen: The latter for poses that never move.
      parts: {heading: {label: 'mpjpe' and 'num_poses' of part of the noisy
        frames}}.
      upper, upper_hidden: The error of the upper joints relative to the thorax,
        from all clean keypoints, and without hips, knees and ankles.
  """
  if solve and not (lifter.model.is_temporal and 'sequence' in arrays):
    raise SettingError(
      '`solve`: is for networks that see time, and files with sequences'
    )
  score = functools.partial(
    score_frames, lifter, arrays, use_focal=use_focal, solve=solve
  )
  scored = {kind: score(arrays[kind]) for kind in KINDS}
  result: dict[str, Any] = {
    kind: _means(frames) | frames.motion(arrays)
    for kind, frames in scored.items()
  }
  for kind, frames in scored.items():
    if frames.worlds:
      result[kind]['world'] = summarize(frames.worlds)
  frames = scored['noisy']
  result['frozen'] = frames.motion(arrays, np.zeros_like(frames.poses))
  result['parts'] = {
    heading: {
      label: {
        'mpjpe': float(frames.errors['mpjpe'][rows].mean()),
        'num_poses': int(rows.sum()),
      }
      for label, rows in groups.items()
      if rows.any()
    }
    for heading, groups in _groups(arrays, frames.kept).items()
  }
  hidden = arrays['clean'].copy()
  hidden[:, _LOWER] = 0
  hidden = score(hidden)
  both = scored['clean'].kept & hidden.kept
  for name, frames in (('upper', scored['clean']), ('upper_hidden', hidden)):
    poses = frames.poses[both[frames.kept]]
    result[name] = _upper_error(poses, arrays['targets'][both])
  return result


def _means(frames: Scored) -> dict[str, Any]:
  """Averages the scores of frames."""
  expected, actual = frames.expected[:, 1:], frames.actual[:, 1:]
  return {name: float(x.mean()) for name, x in frames.errors.items()} | {
    'expected': float(frames.expected.mean()),
    'correlation': float(np.corrcoef(expected.ravel(), actual.ravel())[0, 1]),
    'num_poses': int(frames.kept.sum()),
    'left_out': int((~frames.kept).sum()),
  }


def score_frames(
  lifter: Lifter,
  arrays: dict[str, np.ndarray],
  keypoints: np.ndarray,
  *,
  use_focal: bool = False,
  solve: bool = False,
) -> Scored:
  """Lifts keypoints, `[N, 17, 3]`, and compares the poses to the targets."""
  kept = (keypoints[..., 2] > 0).sum(axis=-1) >= MIN_KEYPOINTS
  if not kept.any():
    raise UserError('no frame of the film has four keypoints; film others')
  poses = np.empty((len(kept), 16, 3), np.float32)
  expected = np.empty((len(kept), 16), np.float32)
  worlds = []
  for rows in _lifted_together(lifter, arrays, kept):
    lifted = lifter.lift(
      keypoints[rows],
      arrays['size'][rows],
      'coco',
      focal_length=arrays['focal'][rows] if use_focal else None,
      fps=FPS,
      check=False,
    )
    poses[rows], expected[rows] = lifted.poses, lifted.errors
    if solve:
      focal = float(arrays['focal'][rows[0]]) if use_focal else None
      clip = solve_lifted(lifted, focal_length=focal)
      poses[rows] = clip.people[0].poses
      has_world = {'root', 'up'} <= arrays.keys() and clip.view is not None
      if has_world and kept[rows].all() and len(rows) >= _LONG * FPS:
        targets, roots, up = (
          arrays[n][rows] for n in ('targets', 'root', 'up')
        )
        worlds.append(score_world(clip, targets, roots, up[0]))
  kept &= np.isfinite(poses).all(axis=(1, 2))
  poses, targets = poses[kept], arrays['targets'][kept]
  parts: dict[str, list[np.ndarray]] = {name: [] for name in SCORES}
  for start in range(0, len(poses), _BATCH):
    # Pad the last batch from the front to keep one compiled shape.
    rows = np.arange(start, start + _BATCH) % len(poses)
    for name in SCORES:
      errors = getattr(metrics, name)(poses[rows], targets[rows])
      parts[name].append(1000 * np.asarray(errors)[: len(poses) - start])
  return Scored(
    kept,
    {name: np.concatenate(part) for name, part in parts.items()},
    poses,
    1000 * expected[kept],
    1000 * np.linalg.norm(poses - targets, axis=-1),
    tuple(worlds),
  )


def _lifted_together(
  lifter: Lifter, arrays: dict[str, np.ndarray], kept: np.ndarray
) -> list[np.ndarray]:
  """Returns the rows to lift in each call: all that are kept, or a sequence."""
  if not lifter.model.is_temporal:
    return [np.flatnonzero(kept)]
  if not {'sequence', 'frame'} <= arrays.keys():
    raise UserError(
      'the file has no sequences, which this network needs; give `wild` a file'
      ' that `film` makes'
    )
  starts = np.flatnonzero(np.diff(arrays['sequence'], prepend=-1))
  return np.split(np.arange(len(kept)), starts[1:])


def _upper_error(poses: np.ndarray, targets: np.ndarray) -> float:
  """Returns the error in mm of the upper joints relative to the thorax."""
  first, second = poses[:, _UPPER], targets[:, _UPPER]
  first, second = first - first[:, :1], second - second[:, :1]
  return float(1000 * np.linalg.norm(first - second, axis=-1)[:, 1:].mean())


def _groups(
  arrays: dict[str, np.ndarray], kept: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
  """Groups the scored frames, {heading: {label: rows `[K]`}}."""
  arrays = {name: array[kept] for name, array in arrays.items()}
  size = arrays['size'].astype(float)
  found = arrays['noisy'][..., 2] > 0
  xy = np.where(found[..., None], arrays['noisy'][..., :2], np.nan)
  low, high = np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)
  filled = ((high - low) / size).max(axis=-1)
  off = np.abs((low + high) / size - 1).max(axis=-1)
  field = 2 * np.degrees(np.arctan(size.max(axis=-1) / 2 / arrays['focal']))
  missing = (~found).sum(axis=-1)

  groups = {}
  if 'action' in arrays:
    actions = arrays['action']
    groups['action'] = {str(a): actions == a for a in np.unique(actions)}
  if 'pitch' in arrays:
    pitch = _ranges(arrays['pitch'], (-5, 5, 15, 25), ' degrees')
    groups['the camera looks down by'] = pitch
  return groups | {
    'the person fills': _ranges(100 * filled, (50, 65, 80), '%'),
    'from the middle to the edge of the image': _ranges(
      100 * off, (10, 25, 40), '%'
    ),
    'field of view': _ranges(field, (45, 55, 65), ' degrees'),
    'keypoints not found': {
      f'{n}' if n < 4 else '4 and more': np.minimum(missing, 4) == n
      for n in range(5)
    },
  }


def _ranges(
  values: np.ndarray, bounds: Sequence[int], unit: str
) -> dict[str, np.ndarray]:
  """Groups values `[K]` by bounds, {label: rows `[K]`}."""
  pairs = [f'{low} to {high}' for low, high in itertools.pairwise(bounds)]
  texts = [f'under {bounds[0]}', *pairs, f'{bounds[-1]}']
  labels = [text + unit for text in texts]
  labels[-1] += ' and more'
  which = np.digitize(values, bounds)
  return {label: which == number for number, label in enumerate(labels)}


def format_wild(result: dict[str, Any]) -> str:
  """Formats the result of `score_wild` as text."""
  rows = [
    [
      kind,
      *(f'{result[kind][name]:.1f}' for name in (*SCORES, 'expected')),
      f'{result[kind]["num_poses"]:,}',
      str(result[kind]['left_out']),
    ]
    for kind in KINDS
  ]
  headings = ['mm', *SCORES.values(), 'expected', 'poses', 'left out']
  lines = [plain_table(headings, rows)]
  for heading, groups in result['parts'].items():
    rows = [
      [label, f'{group["mpjpe"]:.1f}', f'{group["num_poses"]:,}']
      for label, group in groups.items()
    ]
    lines += ['', plain_table([f'noisy: {heading}', 'MPJPE', 'poses'], rows)]
  rows = [
    [name, *(f'{result[name][key]:.1f}' for key in ('mpjve', _ACCELERATION))]
    for name in (*KINDS, 'frozen')
    if _ACCELERATION in result[name]
  ]
  if rows:
    titles = ['mm per frame', 'MPJVE', 'acceleration error']
    lines += ['', plain_table(titles, rows)]
  worlds = [kind for kind in KINDS if 'world' in result[kind]]
  if worlds:
    rows = [
      [title, *(f'{result[kind]["world"][name]:.2f}' for kind in worlds)]
      for name, title in WORLD.items()
    ]
    count = round(result[worlds[0]]['world']['clips'])
    lines += ['', plain_table([f'{count} clips, solved', *worlds], rows)]
  more = 100 * (result['upper_hidden'] / result['upper'] - 1)
  lines += [
    '',
    f'clean: the upper joints are {result["upper"]:.1f} mm off, relative to the'
    f' thorax; without hips, knees and ankles {result["upper_hidden"]:.1f} mm'
    f' ({more:+.1f}%)',
  ]
  return '\n'.join(lines)
