"""Scores a lifter on real clips whose 3D truth is known.

A folder holds an npz for each clip of T frames by one camera:

  kp_<detector>: the keypoints of a detector, `[T, J, 2]`, pixels, or
    `[T, J, 3]`, with confidence
  joints_<detector>: their joint set, a key of `JOINT_SETS`
  truth_<detector>: the poses, `[T, 16, 3]`, metres, camera frame, with the
    joints where this detector marks them; NaN where unknown
  on_<detector>: whether the keypoints are on the person, left and right as they
    are, `[T]`; optional
  mp_world: MediaPipe's own 3D of each frame, `[T, 33, 3]`, metres; optional
  image_size: width and height, `[2]`, pixels
  fps: the frames per second
  K: the intrinsics, `[3, 3]`, pixels; optional, as lifters seldom get them

The clip is named after the file.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from semgcn_jax.errors import UserError, listed, shortened
from semgcn_jax.evaluation import metrics
from semgcn_jax.files import read_arrays
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import JOINT_SETS, LIMBS, convert_joints
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.solving.solver import solve_lifted
from semgcn_jax.text_tables import plain_table

SCORES = {
  'mpjpe': 'MPJPE',
  'n_mpjpe': 'N-MPJPE',
  'p_mpjpe': 'P-MPJPE',
  'x': 'x',
  'y': 'y',
  'z': 'z',
  'acceleration_error': 'acceleration',
  'expected': 'expected',
}
WORLD = "MediaPipe's own 3D"
_RATE = 30.0  # Accelerations are per squared frame at this rate.
_LIMBS = [H36M.joints.index(name) for name in LIMBS]
_HIPS = [H36M.joints.index(name) for name in ('LHip', 'RHip')]


@dataclasses.dataclass(frozen=True)
class RealClip:
  """What a detector finds in a clip of T frames, and the truth.

  Attributes:
    clip: The name of the clip.
    detector: The name of the detector.
    joints: The joint set of the keypoints.
    keypoints: `[T, J, 3]`, pixels and confidence, or `[T, J, 2]`.
    truth: The poses, `[T, 16, 3]`, metres, camera frame.
    on: Whether the keypoints are on the person, `[T]`.
    image_size: Width and height, pixels.
    fps: The frames per second.
    lens: The focal length and the principal point, pixels; None if unknown.
    world: MediaPipe's own 3D, `[T, 33, 3]`, metres; None if there is none.
    view: The pitch and roll of the camera, degrees; None if unknown.
  """

  clip: str
  detector: str
  joints: str
  keypoints: np.ndarray
  truth: np.ndarray
  on: np.ndarray
  image_size: tuple[int, int]
  fps: float
  lens: tuple[float, tuple[float, float]] | None = None
  world: np.ndarray | None = None
  view: tuple[float, float] | None = None


def read_real(folder: pathlib.Path) -> list[RealClip]:
  """Reads the clips of a folder, one for each file and detector.

  Raises:
    UserError: There is no such folder or no clip in it, or a file is damaged.
  """
  paths = sorted(folder.glob('*.npz'))
  if not paths:
    raise UserError(f'{folder}: is no folder of npz files of real clips')
  clips = []
  for path in paths:
    try:
      arrays = read_arrays(path)
      found = list(_clips_of(path.stem, arrays))
    except OSError as error:
      raise UserError(f'{path}: {error.strerror}') from error
    except (KeyError, ValueError, TypeError, IndexError) as error:
      raise UserError(
        f'{path}: does not hold a real clip ({type(error).__name__}:'
        f' {shortened(error, 200)}); docs/real.md describes the layout'
      ) from error
    if not found:
      raise UserError(
        f'{path}: has no keypoints with truth (kp_<detector> and'
        ' truth_<detector>); docs/real.md describes the layout'
      )
    clips += found
  return clips


def _clips_of(name: str, arrays: dict[str, np.ndarray]) -> Iterable[RealClip]:
  """Yields what each detector found; raises errors of all kinds."""
  fps = float(arrays['fps'])
  if not rates.is_rate(fps):
    raise ValueError(f'fps is {fps}; it must be {rates.RANGE}')
  width, height = (int(side) for side in arrays['image_size'])
  if min(width, height) < 1:
    raise ValueError(f'image_size is {width}, {height}')
  lens = None
  if 'K' in arrays:
    k = arrays['K']
    lens = float(k[0, 0] + k[1, 1]) / 2, (float(k[0, 2]), float(k[1, 2]))
    if not (np.isfinite(k).all() and lens[0] > 0):
      raise ValueError(f'K has the focal length {lens[0]:g}')
  view = None
  if 'pitch' in arrays and 'roll' in arrays:
    view = float(arrays['pitch']), float(arrays['roll'])
  for key in arrays:
    detector = key.removeprefix('kp_')
    if key == detector or f'truth_{detector}' not in arrays:
      continue
    joints = str(arrays[f'joints_{detector}'])
    keypoints = arrays[key].astype(np.float32)
    truth = arrays[f'truth_{detector}'].astype(np.float64)
    count = len(keypoints)
    on = arrays.get(f'on_{detector}', np.ones(count, bool))
    world = arrays.get('mp_world') if joints == 'mediapipe' else None
    shapes = {
      key: (keypoints[..., :2], (count, JOINT_SETS[joints].num_joints, 2)),
      f'truth_{detector}': (truth, (count, 16, 3)),
      f'on_{detector}': (on, (count,)),
    }
    if world is not None:
      shapes['mp_world'] = world, (count, 33, 3)
    if keypoints.shape[-1] not in (2, 3):
      raise ValueError(f'{key} has the shape {keypoints.shape}')
    if (confidence := keypoints[..., 2:]).size and not (
      0 <= np.nanmin(confidence) <= np.nanmax(confidence) <= 1
    ):
      raise ValueError(f'{key} has confidences that are not from 0 to 1')
    for array, (values, shape) in shapes.items():
      if values.shape != shape or not count:
        raise ValueError(f'{array} has the shape {values.shape}, not {shape}')
    yield RealClip(
      *(name, detector, joints, keypoints, truth, on.astype(bool)),
      *((width, height), fps, lens, world, view),
    )


def score_real(
  lifter: Lifter,
  clips: list[RealClip],
  *,
  use_focal: bool = False,
  solve: bool = False,
) -> dict[str, Any]:
  """Scores a lifter on real clips.

  The joints of arms and legs count, with the middle of the hips at the origin,
  in the frames in which the detector is on the person. A network that sees time
  gets all frames.

  Args:
    lifter: The lifter.
    clips: The clips, see `read_real`.
    use_focal: Whether to give the lifter the lens.
    solve: Whether to solve the clips.

  Returns:
    A dict with these keys; errors are means in mm.
      clips: A list of a dict for each clip and detector: 'clip', 'detector',
        'mpjpe', 'n_mpjpe', 'p_mpjpe', 'x', 'y', 'z', the mean absolute error
        along each axis of the camera, 'acceleration_error', per squared frame
        of 30 a second, 'expected', the error that the network expects, and
        'joints', {name: its mean error}; 'num_poses', and 'off', the share of
        frames in which the detector is not on the person. Where the file has
        MediaPipe's own 3D, its scores are in 'world'. Of solved clips, 'solved'
        has the median error of bone lengths, 'bones', a share of the true ones;
        'path' and 'true_path', the mean acceleration of the pelvis, mm per
        squared frame of 30 a second; and 'pitch', 'roll' and, where the file
        has them, 'true_pitch' and 'true_roll', degrees.
      detectors: {detector: the means of these over its clips}.
      mean: The means over the detectors.

  Raises:
    UserError: No frame of a clip can be scored, or the lens is not known.
  """
  if unknown := [c.clip for c in clips if use_focal and c.lens is None]:
    raise UserError(f'{unknown[0]}: has no K, which `use_focal` needs')
  rows = []
  for clip in clips:
    options: dict[str, Any] = {}
    if use_focal and clip.lens is not None:
      options['focal_length'], options['center'] = clip.lens
    lifted = lifter.lift(
      *(clip.keypoints, clip.image_size, clip.joints),
      fps=clip.fps,
      check=False,
      **options,
    )
    row: dict[str, Any] = {'clip': clip.clip, 'detector': clip.detector}
    poses = lifted.poses
    if solve:
      poses, row['solved'] = _solved(lifted, clip, options)
    row |= _scores(poses, clip)
    expected = lifted.errors[:, _LIMBS][_scored(lifted.poses, clip)]
    row['expected'] = 1000 * float(expected.mean())
    if clip.world is not None:
      row['world'] = _scores(convert_joints(clip.world, clip.joints), clip)
    rows.append(row)
  detectors = {
    name: _mean([row for row in rows if row['detector'] == name])
    for name in dict.fromkeys(row['detector'] for row in rows)
  }
  return {
    'clips': rows,
    'detectors': detectors,
    'mean': _mean(list(detectors.values())),
  }


def _solved(
  lifted: Lifted, clip: RealClip, options: Mapping[str, Any]
) -> tuple[np.ndarray, dict[str, float]]:
  """Solves a clip; returns its poses, and scores of body and camera."""
  solved = solve_lifted(lifted, **options)
  (person,) = solved.people
  if solved.view is None or person.places is None:
    raise UserError(
      f'{clip.clip}: {clip.detector} has too few poses to solve; leave `solve`'
      ' out'
    )

  def lengths(poses):
    return np.linalg.norm(bone_vectors(poses, H36M), axis=-1)

  true = np.nanmedian(lengths(clip.truth), axis=0)
  off = np.abs(np.nanmedian(lengths(person.poses), axis=0) / true - 1)
  true_places = clip.truth[:, H36M.root]

  def acceleration(places):
    change = np.linalg.norm(np.diff(places, 2, axis=0), axis=-1)
    return 1000 * (clip.fps / _RATE) ** 2 * float(np.nanmean(change))

  scores = {
    'bones': float(np.median(off)),
    'path': acceleration(person.places),
    'true_path': acceleration(true_places),
    'pitch': solved.view.pitch,
    'roll': solved.view.roll,
  }
  if clip.view is not None:
    scores |= dict(zip(('true_pitch', 'true_roll'), clip.view, strict=True))
  return person.poses, scores


def _rooted(poses: np.ndarray) -> np.ndarray:
  """Selects the scored joints, with the middle of the hips at the origin."""
  middle = poses[:, _HIPS].mean(axis=1, keepdims=True)
  return (poses - middle)[:, _LIMBS]


def _scored(poses: np.ndarray, clip: RealClip) -> np.ndarray:
  """Masks the frames that count, `[T]`."""
  found = np.isfinite(_rooted(poses)).all(axis=(1, 2))
  known = np.isfinite(_rooted(clip.truth)).all(axis=(1, 2))
  scored = clip.on & found & known
  if not scored.any():
    raise UserError(
      f'{clip.clip}: no frame of {clip.detector} can be scored; look at'
      f' on_{clip.detector} and truth_{clip.detector}'
    )
  return scored


def _scores(poses: np.ndarray, clip: RealClip) -> dict[str, Any]:
  """Scores the poses of a clip, `[T, 16, 3]`; see `score_real`."""
  scored = _scored(poses, clip)
  predicted, truth = _rooted(poses), _rooted(clip.truth)
  error = 1000 * (predicted - truth)
  pair = predicted[scored], truth[scored]
  result: dict[str, Any] = {
    name: 1000 * float(np.mean(getattr(metrics, name)(*pair)))
    for name in ('mpjpe', 'n_mpjpe', 'p_mpjpe')
  }
  along = np.abs(error[scored]).mean(axis=(0, 1))
  result |= dict(zip('xyz', along.tolist(), strict=True))
  step = max(1, round(clip.fps / _RATE))
  change = error[2 * step :] - 2 * error[step:-step] + error[: -2 * step]
  runs = scored[2 * step :] & scored[step:-step] & scored[: -2 * step]
  if runs.any():
    # The step may not be exactly a frame of 30 a second.
    scale = (clip.fps / (_RATE * step)) ** 2
    change = np.linalg.norm(change[runs], axis=-1)
    result['acceleration_error'] = scale * float(change.mean())
  of_joint = np.linalg.norm(error[scored], axis=-1).mean(axis=0)
  names = [H36M.joints[joint] for joint in _LIMBS]
  return result | {
    'joints': dict(zip(names, of_joint.tolist(), strict=True)),
    'num_poses': int(scored.sum()),
    'off': 1 - float(clip.on.mean()),
  }


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
  """Averages the scores of rows, each of which counts the same."""
  names = [n for n in (*SCORES, 'off') if all(n in row for row in rows)]
  result: dict[str, Any] = {
    name: float(np.mean([row[name] for row in rows])) for name in names
  }
  result['joints'] = {
    joint: float(np.mean([row['joints'][joint] for row in rows]))
    for joint in rows[0]['joints']
  }
  worlds = [row['world'] for row in rows if 'world' in row]
  return result | ({'world': _mean(worlds)} if worlds else {})


def format_real(result: dict[str, Any]) -> str:
  """Formats the result of `score_real` as text."""
  rows = []

  def add(label, scores):
    values = [scores.get(name) for name in SCORES]
    rows.append([label, *('' if v is None else f'{v:.1f}' for v in values)])
    if 'world' in scores:
      add(f'  {WORLD}', scores['world'])

  for row in result['clips']:
    add(f'{row["clip"]} {row["detector"]}', row)
  for name, scores in result['detectors'].items():
    add(f'mean of {name}', scores)
  add('mean', {n: v for n, v in result['mean'].items() if n != 'world'})
  lines = [plain_table(['mm', *SCORES.values()], rows), '']
  joints = [
    [name, f'{error:.1f}'] for name, error in result['mean']['joints'].items()
  ]
  lines += [plain_table(['joint', 'error'], joints)]
  if all('solved' in row for row in result['clips']):
    names = {'bones': 'bones'} | {
      name: name.replace('_', ' ')
      for score in ('path', 'pitch', 'roll')
      for name in (score, f'true_{score}')
    }
    rows = []
    for row in result['clips']:
      scores = row['solved'] | {'bones': 100 * row['solved']['bones']}
      values = [f'{scores[n]:.1f}' if n in scores else '' for n in names]
      rows.append([f'{row["clip"]} {row["detector"]}', *values])
    headings = ['%, mm, degrees', *names.values()]
    lines += ['', plain_table(headings, rows)]
  off = [
    f'{row["clip"]} {row["detector"]} ({100 * row["off"]:.0f}%)'
    for row in result['clips']
    if row['off']
  ]
  if off:
    lines += ['', f'left out, as not on the person: {listed(off)}']
  return '\n'.join(lines)
