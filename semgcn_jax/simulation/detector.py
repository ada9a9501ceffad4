"""Makes of exact points what a detector finds: noise, mistakes and gaps."""

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import FilmingConfig
from semgcn_jax.simulation.points import NAMES, PAIRS

Array = jax.Array

_HIDDEN_TIMES = 4  # Hidden limbs last so many times longer than other gaps.
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

  In a clip noise is like that of the frame before (`noise_correlation`), what
  is not found, far off or exchanged stays so for a while (`lasting`), and in
  some frames nothing is found (`lost`).

  Args:
    rng: The random key.
    pixels: The points in clips of T frames, `[B, T, P, 2]`, pixels, in the
      order of `NAMES`.
    image_size: Width and height of the images, `[B, 2]`, pixels.
    config: The size and the frequency of the mistakes.

  Returns:
    Keypoints `[B, T, P, 3]`: pixels x and y, and confidence, 0 where not found.
  """
  count, frames, points = pixels.shape[:3]
  rngs = iter(jax.random.split(rng, 16))
  clip_rngs = iter(jax.random.split(jax.random.fold_in(rng, 1), 16))

  def uniform(low=0.0, high=1.0, shape=(count, 1, 1)):
    return jax.random.uniform(next(rngs), shape, minval=low, maxval=high)

  def normal(shape):
    return jax.random.normal(next(rngs), shape)

  lasting = jax.random.uniform(
    next(clip_rngs), (count, 1, 1), minval=1.0, maxval=config.lasting
  )

  def chosen(share, of_each, times=1.0):
    """Chooses a share of the things in each frame, for a while."""
    random = uniform(shape=(count, frames, of_each))
    return hold(next(clip_rngs), random, times * lasting) < share

  inside = pixels < image_size[:, None, None]
  inside = jnp.all((pixels >= 0) & inside, axis=-1)
  size = jnp.max(pixels.max(axis=2) - pixels.min(axis=2), axis=-1)[..., None]
  clean = uniform() < config.clean
  # The noise of a point, in units of `detector_noise`.
  of_point = jnp.exp(0.3 * normal((count, 1, points)))
  of_pose = jnp.exp(0.35 * normal((count, 1, 1)))
  out = chosen(config.outliers, points)
  units = of_point * of_pose * jnp.where(out, _OUTLIER, 1)
  units = jnp.where(clean, 0, units)
  likeness = jax.random.uniform(
    next(clip_rngs), (count, 1, 1), maxval=config.noise_correlation
  )
  error = correlate(normal((count, frames, points, 2)), likeness)
  error = error * units[..., None]
  unit = config.detector_noise * size
  noisy = pixels + error * unit[..., None]
  off = jnp.linalg.norm(error, axis=-1)
  # What a confidence tells differs from detector to detector.
  slope, highest = uniform(0.0, 0.12), uniform(0.75, 1.0)
  confidence = highest - slope * off + 0.07 * normal((count, frames, points))
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
  swapped = chosen(config.swaps, len(PAIRS))
  swapped = (swapped & ~clean)[..., number]
  keypoints = jnp.where(swapped[..., None], keypoints[:, :, other], keypoints)
  lost = ~clean & chosen(config.gaps, points)
  hidden = jnp.asarray(_HIDDEN)[
    jax.random.randint(next(rngs), (count, 1), 0, len(_HIDDEN))
  ]
  # What hides limbs, a table or the edge of a picture, stays for longer.
  lost |= hidden & chosen(config.limb_gaps, 1, _HIDDEN_TIMES)
  lost |= jnp.asarray(_LOWER) & chosen(config.lower_gaps, 1, _HIDDEN_TIMES)
  if frames > 1:
    lost |= ~clean & chosen(config.lost, 1)
  found = inside & ~lost
  return jnp.where(found[..., None], keypoints, 0)


def hold(rng: Array, values: Array, frames: Array) -> Array:
  """Lets each value of a clip last for a while.

  Args:
    rng: The random key.
    values: Independent random values, `[B, T, ...]`.
    frames: For how many frames each lasts on average, at least 1, `[B, 1, 1]`.

  Returns:
    Values of the same distribution, `[B, T, ...]`; each is that of the frame
    before with the probability 1 - 1 / `frames`.
  """
  changes = jax.random.uniform(rng, values.shape) < 1 / frames
  numbers = jnp.arange(values.shape[1])[:, None]
  index = jax.lax.cummax(jnp.where(changes, numbers, 0), axis=1)
  return jnp.take_along_axis(values, index, axis=1)


def correlate(noise: Array, likeness: Array) -> Array:
  """Makes noise of a clip like that of the frame before.

  Args:
    noise: Independent normal noise, `[B, T, P, 2]`.
    likeness: The correlation of a frame with the one before, `[B, 1, 1]`.

  Returns:
    Noise of the same deviation, `[B, T, P, 2]`.
  """
  numbers = jnp.arange(noise.shape[1])
  later = numbers[:, None] - numbers
  shares = jnp.where(later >= 0, likeness ** jnp.maximum(later, 0), 0)
  new = jnp.where(numbers == 0, 1, jnp.sqrt(1 - jnp.square(likeness)))
  return jnp.einsum('bts,bspc->btpc', shares * new, noise, precision='highest')
