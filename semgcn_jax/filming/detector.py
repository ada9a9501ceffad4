"""Makes of exact points what a detector finds: noise, mistakes and gaps."""

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import FilmingConfig
from semgcn_jax.filming.points import NAMES, PAIRS

Array = jax.Array

_OUTLIER = 6.0  # An outlier is so many times as far off as other points.


def _limb(*words: str) -> np.ndarray:
  """Marks the points whose names have one of the words."""
  return np.array([any(word in name for word in words) for name in NAMES])


# What is hidden together: an arm, a leg, the lower half, and all but that.
_HIDDEN = np.stack(
  [
    _limb('left_elbow', 'left_wrist', 'LElbow', 'LWrist'),
    _limb('right_elbow', 'right_wrist', 'RElbow', 'RWrist'),
    _limb('left_wrist', 'right_wrist', 'LWrist', 'RWrist'),
    _limb('left_knee', 'left_ankle', 'LKnee', 'LAnkle'),
    _limb('right_knee', 'right_ankle', 'RKnee', 'RAnkle'),
    _limb('ankle', 'Ankle'),
    _limb('ankle', 'Ankle', 'knee', 'Knee'),
    _limb('nose', 'eye', 'ear', 'head', 'Head'),
    _limb('left_eye', 'left_ear', 'nose'),
    _limb('right_eye', 'right_ear', 'nose'),
  ]
)
_LOWER = _limb(
  *('ankle', 'Ankle', 'knee', 'Knee', 'left_hip', 'right_hip', 'LHip', 'RHip'),
  *('mid_hip', 'Pelvis'),
)


def detect(
  rng: Array, pixels: Array, image_size: Array, config: FilmingConfig
) -> Array:
  """Finds points as a detector does.

  In some poses what is seen is found exactly, with the confidence 1 (`clean`);
  limbs may be hidden there, too. In the others each point is off by
  `detector_noise` times the size of the person, more at some points and in some
  poses than in others; some are far off (`outliers`); some points are taken for
  those of the other side (`swaps`), and some not found (`gaps`, `limb_gaps`,
  `lower_gaps`). The farther a point is off, the lower its confidence, more or
  less. Outside of the image nothing is found.

  Args:
    rng: The random key.
    pixels: The points, `[B, P, 2]`, pixels, in the order of `NAMES`.
    image_size: Width and height of each image, `[B, 2]`, pixels.
    config: The size and the frequency of the mistakes.

  Returns:
    Keypoints `[B, P, 3]`: pixels x and y, and confidence, 0 where not found.
  """
  count, points = pixels.shape[:2]
  rngs = iter(jax.random.split(rng, 16))

  def uniform(low=0.0, high=1.0, shape=(count, 1)):
    return jax.random.uniform(next(rngs), shape, minval=low, maxval=high)

  def normal(shape):
    return jax.random.normal(next(rngs), shape)

  inside = jnp.all((pixels >= 0) & (pixels < image_size[:, None]), axis=-1)
  size = jnp.max(pixels.max(axis=1) - pixels.min(axis=1), axis=-1)[:, None]
  clean = uniform() < config.clean
  # The noise of a point, in units of `detector_noise`.
  of_point = jnp.exp(0.3 * normal((count, points)))
  of_pose = jnp.exp(0.35 * normal((count, 1)))
  out = uniform(shape=(count, points)) < config.outliers
  units = of_point * of_pose * jnp.where(out, _OUTLIER, 1)
  units = jnp.where(clean, 0, units)
  error = normal((count, points, 2)) * units[..., None]
  unit = config.detector_noise * size
  noisy = pixels + error * unit[..., None]
  off = jnp.linalg.norm(error, axis=-1)
  # What a confidence tells differs from detector to detector.
  slope, highest = uniform(0.0, 0.12), uniform(0.75, 1.0)
  confidence = highest - slope * off + 0.07 * normal((count, points))
  confidence = jnp.clip(confidence, 0.05, 1.0)
  silent = uniform() < 0.1
  confidence = jnp.where(clean | silent, 1.0, confidence)
  keypoints = jnp.concatenate([noisy, confidence[..., None]], axis=-1)
  # A pair is exchanged whole.
  other = np.arange(points)
  number = np.zeros(points, np.int32)
  for index, (left, right) in enumerate(PAIRS):
    other[left], other[right] = right, left
    number[[left, right]] = index
  swapped = uniform(shape=(count, len(PAIRS))) < config.swaps
  swapped = (swapped & ~clean)[:, number]
  keypoints = jnp.where(swapped[..., None], keypoints[:, other], keypoints)
  lost = ~clean & (uniform(shape=(count, points)) < config.gaps)
  hidden = jnp.asarray(_HIDDEN)[
    jax.random.randint(next(rngs), (count,), 0, len(_HIDDEN))
  ]
  lost |= hidden & (uniform() < config.limb_gaps)
  lost |= jnp.asarray(_LOWER) & (uniform() < config.lower_gaps)
  found = inside & ~lost
  return jnp.where(found[..., None], keypoints, 0)
