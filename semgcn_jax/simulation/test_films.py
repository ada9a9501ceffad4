"""Films the test clips for lifters, in NumPy.

Cameras, keypoints and detector errors are drawn from distributions that differ
from those in training, so that tests measure generalization. Published tests
are identified by their seed: do not change the numbers below or the order of
the random draws.
"""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.geometry.cameras import Lens
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.geometry.rotations import y_down
from semgcn_jax.geometry.skeletons import H36M, mirror
from semgcn_jax.simulation.detector_noise import in_image, person_size
from semgcn_jax.simulation.points import joint_of, side_pairs

FPS = 10.0  # Frames per second.
FRAMES = 10, 50  # The shortest and longest sequence.
# Width and height of the images, in pixels.
_SIZES = (
  *((1920, 1080), (1280, 720), (640, 480), (1080, 1920), (720, 1280)),
  *((1000, 1000), (480, 640)),
)
_MIRRORED = 0.5  # The share of sequences that are mirrored.
_PITCH = 6.0, 12.0, -25.0, 55.0  # Mean, deviation, lowest, highest; degrees.
_ROLL = 3.0  # The standard deviation, degrees.
_FIELD_OF_VIEW = 35.0, 80.0  # Of the longer side, degrees.
_FILLED = 0.45, 0.95  # The share of the image that a person fills.
_NEAREST = 0.3  # The minimum depth of a point, metres.
_OFFSET = 0.010, 0.025  # From a joint to its keypoint, metres.
_NOISE = 0.015  # The error along each axis, relative to the person's size.
_CORRELATION = 0.6  # Of the errors in successive frames.
_OUTLIERS, _FARTHER = 0.02, 6.0  # The share of points; their relative error.
_MISSED = 0.03  # The share of points that are missed.
_SWAPPED = 0.01  # The share of left-right pairs that are swapped.
# The confidence of an exact point, its decrease per unit of error, and the
# standard deviation and lowest value of the result.
_CONFIDENCE = 0.9, 0.1, 0.05, 0.05
_POINTS = JOINT_SETS['coco'].names
# The relative errors of body parts.
_OF_PART = {'hip': 1.2, 'wrist': 1.3, 'ankle': 1.1, 'eye': 0.6, 'ear': 0.7}
_DIFFICULTY = np.array([_OF_PART.get(n.split('_')[-1], 1.0) for n in _POINTS])


def cut(rng: np.random.Generator, clip: np.ndarray) -> Iterator[np.ndarray]:
  """Cuts a clip `[T, ...]` into sequences of random length; see `FRAMES`."""
  start = 0
  while len(clip) - start >= FRAMES[0]:
    length = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    yield clip[start : start + length]
    start += length


def film(rng: np.random.Generator, clip: np.ndarray) -> dict[str, np.ndarray]:
  """Films a sequence of poses of `H36M`, `[T, 16, 3]`, metres, z up.

  Returns:
    The arrays that `evaluation.wild` describes, for T frames, except names and
    numbers.
  """
  level = y_down(clip)
  if rng.random() < _MIRRORED:
    level = mirror(level, H36M).astype(float)
  level = level - level[:, H36M.root].mean(axis=0)
  pitch = np.clip(rng.normal(*_PITCH[:2]), *_PITCH[2:])
  angles = rng.uniform(0, 360), pitch, rng.normal(0, _ROLL)
  rotation = Rotation.from_euler('yxz', angles, degrees=True).as_matrix()
  seen = level @ rotation.T
  points = _mark(rng, seen)
  size = np.array(_SIZES[rng.integers(len(_SIZES))], float)
  field = np.radians(rng.uniform(*_FIELD_OF_VIEW))
  focal = size.max() / (2 * np.tan(field / 2))
  root = _place(rng, points, size, focal)
  pixels = Lens(focal, size / 2).project(points + root)
  inside = in_image(pixels, size)
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
    'up': np.tile(-rotation[:, 1].astype(np.float32), (frames, 1)),
  }


def _mark(rng: np.random.Generator, poses: np.ndarray) -> np.ndarray:
  """Places COCO's keypoints beside the joints of poses `[T, 16, 3]`.

  Their offsets rotate with the pelvis. The whole face is at the head.
  """
  across = poses[:, H36M.joints.index('LHip')] - poses[:, H36M.root]
  upward = poses[:, H36M.joints.index('Spine')] - poses[:, H36M.root]
  across /= np.linalg.norm(across, axis=-1, keepdims=True)
  upward -= (upward * across).sum(axis=-1, keepdims=True) * across
  upward /= np.linalg.norm(upward, axis=-1, keepdims=True)
  axes = np.stack([across, upward, np.cross(across, upward)], axis=1)
  offsets = rng.normal(size=(len(_POINTS), 3))
  offsets /= np.linalg.norm(offsets, axis=-1, keepdims=True)
  offsets *= rng.uniform(*_OFFSET, (len(_POINTS), 1))
  joints = [joint_of(name) for name in _POINTS]
  return poses[:, joints] + np.einsum('pi,tij->tpj', offsets, axes)


def _place(
  rng: np.random.Generator, points: np.ndarray, size: np.ndarray, focal: float
) -> np.ndarray:
  """Draws the position of points `[T, P, 3]` in the camera frame, `[3]`."""
  lens = Lens(focal, 0.0)
  share = rng.uniform(*_FILLED)

  def box(root):
    xy = lens.project(points + root)
    return xy.min(axis=(0, 1)), xy.max(axis=(0, 1))

  # Move as close as the share allows, then shift the person off center.
  low, high = _NEAREST - points[..., 2].min(), 1e3
  for _ in range(60):
    depth = (low + high) / 2
    first, last = box(np.array([0, 0, depth]))
    if np.max((last - first) / size) > share:
      low = depth
    else:
      high = depth
  root = np.array([0.0, 0.0, high])
  first, last = box(root)
  free = np.maximum(size - (last - first), 0)
  middle = (rng.random(2) - 0.5) * free
  for _ in range(20):  # Shifting changes the box a little.
    first, last = box(root)
    root[:2] += (middle - (first + last) / 2) * high / focal
  return root


def _detect(
  rng: np.random.Generator, pixels: np.ndarray, size: np.ndarray
) -> np.ndarray:
  """Simulates a detector: points `[T, 17, 2]` to keypoints `[T, 17, 3]`."""
  frames, points = pixels.shape[:2]
  error = rng.normal(size=pixels.shape)
  fresh = np.sqrt(1 - _CORRELATION**2)
  for frame in range(1, frames):
    error[frame] = _CORRELATION * error[frame - 1] + fresh * error[frame]
  error *= _DIFFICULTY[:, None]
  error[rng.random((frames, points)) < _OUTLIERS] *= _FARTHER
  noisy = pixels + error * (_NOISE * person_size(pixels))[:, None, None]
  highest, slope, deviation, least = _CONFIDENCE
  off = np.linalg.norm(error, axis=-1)
  confidence = highest - slope * off + rng.normal(0, deviation, off.shape)
  found = np.concatenate(
    [noisy, np.clip(confidence, least, 1)[..., None]], axis=-1
  )
  for left, right in side_pairs(_POINTS):
    chosen = np.flatnonzero(rng.random(frames) < _SWAPPED)[:, None]
    found[chosen, [left, right]] = found[chosen, [right, left]]
  inside = in_image(found[..., :2], size)
  found[~inside | (rng.random((frames, points)) < _MISSED)] = 0
  return found
