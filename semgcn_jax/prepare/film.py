"""Films recorded motion by unknown cameras, as the keypoints of a detector.

The file that it makes is a test for lifters: see `evaluation.wild`.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.data.npz import read_poses_3d
from semgcn_jax.data.pairs import action_name
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.files import check_output, replacing
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.geometry.skeletons import H36M, bone_vectors, mirror
from semgcn_jax.simulation.points import FACE, joint_of

# Width and height of the images, in pixels.
SIZES = (
  *((1920, 1080), (1280, 720), (640, 480), (1080, 1920), (720, 1280)),
  *((1000, 1000), (480, 640)),
)
FRAMES = 10, 50  # The length of a sequence.
PITCH = 6.0, 12.0, -25.0, 55.0  # Mean, deviation, least and most, degrees.
ROLL = 3.0  # The deviation, degrees.
FIELD_OF_VIEW = 35.0, 80.0  # Of the longer side, degrees.
FILLED = 0.45, 0.95  # The share of the image that a person fills.
OFFSET = 0.010, 0.025  # From a joint to the point that is marked, metres.
NOISE = 0.015  # The error along each axis, over the size of the person.
CORRELATION = 0.6  # Of the error, from frame to frame.
OUTLIERS, FARTHER = 0.02, 6.0  # The share of points, and how much farther off.
MISSED = 0.03  # The share of points that are not found.
SWAPPED = 0.01  # The share of pairs taken left for right.
# How far off the points of a part are, relative to others.
_DIFFICULTY = {'hip': 1.2, 'wrist': 1.3, 'ankle': 1.1, 'eye': 0.6, 'ear': 0.7}


def film(
  path: pathlib.Path,
  output: pathlib.Path,
  *,
  subjects: Sequence[str] = (),
  seed: int = 0,
) -> None:
  """Films the poses of a data_3d_*.npz.

  Each clip is cut into sequences. Each is filmed by a static camera of its own,
  half of them in a mirror. The detector finds COCO's keypoints.

  Args:
    path: The file of poses `[T, 16, 3]`, metres, z up, of the skeleton `H36M`.
    output: The npz to write, see `evaluation.wild`.
    subjects: The subjects to film; if empty, all.
    seed: The seed of cameras and detector.

  Raises:
    SettingError: There is no such subject, or the output cannot be written.
    UserError: The poses are missing, damaged, or of another skeleton.
  """
  check_output(output, 'output')
  if output.suffix != '.npz':
    raise SettingError(f'`output={output}`: must end with .npz')
  poses = read_poses_3d(path)
  for subject in subjects:
    if subject not in poses:
      raise SettingError(
        f'`subjects`: no {subject} in {path}; it has {listed(poses)}'
      )
  parts: dict[str, list[np.ndarray]] = {}
  number = 0
  for subject in dict.fromkeys(subjects) or poses:
    for action, clip in poses[subject].items():
      where = f'{path}: {subject} {action!r}'
      if clip.shape[1:] != (H36M.num_joints, 3) or not np.isfinite(clip).all():
        raise UserError(
          f'{where} does not hold 16 joints in 3D, all finite; mend the file'
        )
      moved = clip - clip[:, :1]
      lengths = np.linalg.norm(bone_vectors(clip, H36M), axis=-1)
      if lengths.min(initial=1) < 1e-3 or np.abs(moved).max(initial=0) > 10:
        raise UserError(
          f'{where} has bones of no length, or joints 10 m apart; it must be in'
          ' metres'
        )
      cuts = np.random.default_rng([seed, number])
      for sequence in _cut(cuts, np.asarray(clip, float)):
        rng = np.random.default_rng([seed, number, 1])
        filmed = _film_sequence(rng, sequence)
        frames = len(sequence)
        filmed['sequence'] = np.full(frames, number, np.int32)
        filmed['frame'] = np.arange(frames, dtype=np.int32)
        filmed['subject'] = np.full(frames, subject)
        filmed['action'] = np.full(frames, action_name(action))
        for name, array in filmed.items():
          parts.setdefault(name, []).append(array)
        number += 1
  if not parts:
    raise UserError(f'{path}: no clip has {FRAMES[0]} frames; film others')
  arrays: dict[str, Any] = {
    name: np.concatenate(part) for name, part in parts.items()
  }
  try:
    with replacing(output) as temporary, open(temporary, 'wb') as file:
      np.savez_compressed(file, **arrays)
  except OSError as error:
    raise SettingError(f'`output={output}`: {error.strerror}') from error
  frames = sum(map(len, parts['frame']))
  print(f'{output}: {number} sequences, {frames:,} frames')


def _cut(rng: np.random.Generator, clip: np.ndarray) -> Iterator[np.ndarray]:
  """Cuts a clip into sequences of random length."""
  start = 0
  while len(clip) - start >= FRAMES[0]:
    length = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    yield clip[start : start + length]
    start += length


def _film_sequence(
  rng: np.random.Generator, clip: np.ndarray
) -> dict[str, np.ndarray]:
  """Films a sequence `[T, 16, 3]`, metres, z up."""
  # From z up to y down: x stays, y becomes z, and z becomes -y.
  level = np.stack([clip[..., 0], -clip[..., 2], clip[..., 1]], axis=-1)
  if rng.random() < 0.5:
    level = mirror(level, H36M).astype(float)
  level = level - level[:, H36M.root].mean(axis=0)
  pitch = np.clip(rng.normal(*PITCH[:2]), *PITCH[2:])
  angles = rng.uniform(0, 360), pitch, rng.normal(0, ROLL)
  rotation = Rotation.from_euler('yxz', angles, degrees=True).as_matrix()
  seen = level @ rotation.T
  points = _mark(rng, seen)
  size = np.array(SIZES[rng.integers(len(SIZES))], float)
  field = np.radians(rng.uniform(*FIELD_OF_VIEW))
  focal = size.max() / (2 * np.tan(field / 2))
  share = rng.uniform(*FILLED)

  def box(root):
    xy = (points + root)[..., :2] / (points + root)[..., 2:] * focal
    return xy.min(axis=(0, 1)), xy.max(axis=(0, 1))

  # The camera comes as near as the share says, then looks past the person.
  nearest = 0.3 - points[..., 2].min()
  low, high = nearest, 1e3
  for _ in range(60):
    depth = (low + high) / 2
    first, last = box(np.array([0, 0, depth]))
    if np.max((last - first) / size) > share:
      low = depth
    else:
      high = depth
  first, last = box(np.array([0, 0, high]))
  free = np.maximum(size - (last - first), 0)
  middle = (rng.random(2) - 0.5) * free
  root = np.array([0.0, 0.0, high])
  for _ in range(20):  # Moving aside changes the box a little.
    first, last = box(root)
    root[:2] += (middle - (first + last) / 2) * high / focal
  camera = points + root
  pixels = camera[..., :2] / camera[..., 2:] * focal + size / 2
  inside = ((pixels >= 0) & (pixels < size)).all(axis=-1)
  clean = np.concatenate([pixels, inside[..., None]], axis=-1)
  clean[~inside] = 0
  noisy = _detect(rng, pixels, size)
  frames = len(clip)
  track = seen[:, H36M.root]
  return {
    'clean': clean.astype(np.float32),
    'noisy': noisy.astype(np.float32),
    'size': np.tile(size.astype(np.int32), (frames, 1)),
    'targets': (seen - track[:, None]).astype(np.float32),
    'root': (track + root).astype(np.float32),
    'focal': np.full(frames, focal, np.float32),
    'pitch': np.full(frames, pitch, np.float32),
  }


def _mark(rng: np.random.Generator, poses: np.ndarray) -> np.ndarray:
  """Places COCO's points on poses `[T, 16, 3]`, beside the joints.

  Their offsets keep to the axes of the pelvis. All of the face is on the head.
  """
  names = JOINT_SETS['coco'].names
  joints = [
    H36M.joints.index('Head') if name in FACE else joint_of(name)
    for name in names
  ]
  across = poses[:, H36M.joints.index('LHip')] - poses[:, H36M.root]
  upward = poses[:, H36M.joints.index('Spine')] - poses[:, H36M.root]
  across /= np.linalg.norm(across, axis=-1, keepdims=True)
  upward -= (upward * across).sum(axis=-1, keepdims=True) * across
  upward /= np.linalg.norm(upward, axis=-1, keepdims=True)
  axes = np.stack([across, upward, np.cross(across, upward)], axis=1)
  offsets = rng.normal(size=(len(names), 3))
  offsets /= np.linalg.norm(offsets, axis=-1, keepdims=True)
  offsets *= rng.uniform(*OFFSET, (len(names), 1))
  return poses[:, joints] + np.einsum('pi,tij->tpj', offsets, axes)


def _detect(
  rng: np.random.Generator, pixels: np.ndarray, size: np.ndarray
) -> np.ndarray:
  """Finds points `[T, 17, 2]` as a detector does, `[T, 17, 3]`."""
  frames, points = pixels.shape[:2]
  names = JOINT_SETS['coco'].names
  difficulty = np.array([_DIFFICULTY.get(n.split('_')[-1], 1.0) for n in names])
  person = (pixels.max(axis=1) - pixels.min(axis=1)).max(axis=-1)
  error = rng.normal(size=pixels.shape)
  fresh = np.sqrt(1 - CORRELATION**2)
  for frame in range(1, frames):
    error[frame] = CORRELATION * error[frame - 1] + fresh * error[frame]
  error *= difficulty[:, None]
  error[rng.random((frames, points)) < OUTLIERS] *= FARTHER
  noisy = pixels + error * (NOISE * person)[:, None, None]
  off = np.linalg.norm(error, axis=-1)
  confidence = 0.9 - 0.1 * off + rng.normal(0, 0.05, off.shape)
  found = np.concatenate(
    [noisy, np.clip(confidence, 0.05, 1)[..., None]], axis=-1
  )
  for left in (i for i, n in enumerate(names) if n.startswith('left')):
    right = names.index(names[left].replace('left', 'right'))
    chosen = rng.random(frames) < SWAPPED
    found[chosen, left], found[chosen, right] = (
      found[chosen, right],
      found[chosen, left],
    )
  inside = ((found[..., :2] >= 0) & (found[..., :2] < size)).all(axis=-1)
  found[~inside | (rng.random((frames, points)) < MISSED)] = 0
  return found
