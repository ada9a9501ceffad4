"""Corrupts exact keypoints as a detector would: noise, errors and gaps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import FilmingConfig
from semgcn_jax.simulation.points import OF_PEOPLE, Points

Array = jax.Array

_HIDDEN_TIMES = 4  # Hidden limbs last this many times longer than other gaps.
_OUTLIER = 6.0  # The error of outliers relative to that of other points.


def detect(
  rng: Array,
  pixels: Array,
  image_size: Array,
  config: FilmingConfig,
  points: Points = OF_PEOPLE,
) -> Array:
  """Simulates a 2D detector.

  Some poses are detected exactly, with confidence 1 (`clean`), though limbs may
  be hidden. In the others every point has noise of `detector_noise` times the
  person's size, varying by point and pose; some are far off (`outliers`), some
  are swapped between left and right (`swaps`, `side_swaps`), and some are
  missed (`gaps`, `limb_gaps`, `lower_gaps`). Confidence roughly decreases with
  the error. Nothing is detected outside the image.

  In clips, noise is correlated between frames (`noise_correlation`); gaps,
  outliers and swaps persist for a while (`lasting`); and some frames are lost
  entirely (`lost`).

  Args:
    rng: The random key.
    pixels: The points in clips of T frames, `[B, T, P, 2]`, pixels.
    image_size: Width and height of the images, `[B, 2]`, pixels.
    config: The size and the rate of the errors.
    points: What the points are.

  Returns:
    Keypoints `[B, T, P, 3]`: x and y in pixels, and confidence, 0 if missed.
  """
  count, frames = pixels.shape[:2]
  draws = _Draws(rng, count, frames, config.lasting)
  clean = draws.uniform() < config.clean
  error = _errors(draws, pixels.shape[2], clean, config)
  unit = config.detector_noise * person_size(pixels)[..., None, None]
  confidence = _confidence(draws, error, clean)
  keypoints = jnp.concatenate(
    [pixels + error * unit, confidence[..., None]], axis=-1
  )
  keypoints = _swap_sides(draws, keypoints, clean, config, points)
  inside = in_image(pixels, image_size[:, None, None])
  found = inside & ~_lose(draws, clean, config, points)
  return jnp.where(found[..., None], keypoints, 0)


def in_image(pixels: Any, image_size: Any) -> Any:
  """Masks the points `[..., 2]`, pixels, that lie in the image, `[...]`."""
  return ((pixels >= 0) & (pixels < image_size)).all(axis=-1)


def person_size(pixels: Any) -> Any:
  """Measures the longer side of the bounding box of `[..., P, 2]`, `[...]`."""
  return (pixels.max(axis=-2) - pixels.min(axis=-2)).max(axis=-1)


class _Draws:
  """Draws the random numbers for B clips of T frames, in order of the calls."""

  def __init__(self, rng: Array, count: int, frames: int, lasting: float):
    self.count, self.frames = count, frames
    self._rngs = iter(jax.random.split(rng, 16))
    # Single frames do not need these; separate keys keep the others unchanged.
    self._clip_rngs = iter(jax.random.split(jax.random.fold_in(rng, 1), 16))
    self._lasting = self.of_clip(1.0, lasting)

  def key(self) -> Array:
    """Takes the next random key."""
    return next(self._rngs)

  def uniform(self, low: float = 0.0, high: float = 1.0) -> Array:
    """Draws a number for each clip, `[B, 1, 1]`."""
    return jax.random.uniform(self.key(), (self.count, 1, 1), None, low, high)

  def of_clip(self, low: float, high: float) -> Array:
    """Draws a number for how each clip changes over time, `[B, 1, 1]`."""
    rng = next(self._clip_rngs)
    return jax.random.uniform(rng, (self.count, 1, 1), None, low, high)

  def normal(self, *shape: int) -> Array:
    """Draws standard normal numbers, `[B, *shape]`."""
    return jax.random.normal(self.key(), (self.count, *shape))

  def chosen(self, share: float, of_each: int, times: float = 1.0) -> Array:
    """Picks a share of N things that persist for a while, `[B, T, N]`."""
    random = jax.random.uniform(self.key(), (self.count, self.frames, of_each))
    return hold(next(self._clip_rngs), random, times * self._lasting) < share


def _errors(
  draws: _Draws, points: int, clean: Array, config: FilmingConfig
) -> Array:
  """Draws errors `[B, T, P, 2]` in units of `detector_noise`."""
  of_point = jnp.exp(0.3 * draws.normal(1, points))
  of_pose = jnp.exp(0.35 * draws.normal(1, 1))
  out = draws.chosen(config.outliers, points)
  units = of_point * of_pose * jnp.where(out, _OUTLIER, 1)
  units = jnp.where(clean, 0, units)
  likeness = draws.of_clip(0.0, config.noise_correlation)
  error = correlate(draws.normal(draws.frames, points, 2), likeness)
  return error * units[..., None]


def _confidence(draws: _Draws, error: Array, clean: Array) -> Array:
  """Draws confidences `[B, T, P]` given errors in units of `detector_noise`."""
  off = jnp.linalg.norm(error, axis=-1)
  # Detectors differ in how informative their confidences are.
  slope, highest = draws.uniform(0.0, 0.12), draws.uniform(0.75, 1.0)
  confidence = highest - slope * off + 0.07 * draws.normal(*off.shape[1:])
  confidence = jnp.clip(confidence, 0.05, 1.0)
  silent = draws.uniform() < 0.1
  return jnp.where(clean | silent, 1.0, confidence)


def _swap_sides(
  draws: _Draws,
  keypoints: Array,
  clean: Array,
  config: FilmingConfig,
  points: Points,
) -> Array:
  """Swaps some pairs of left and right points `[B, T, P, 3]`."""
  if not points.pairs:
    return keypoints
  number = np.zeros(len(points.names), np.int32)
  for index, pair in enumerate(points.pairs):
    number[list(pair)] = index
  swapped = draws.chosen(config.swaps, len(points.pairs))
  if config.side_swaps:
    swapped ^= draws.chosen(config.side_swaps, 1, _HIDDEN_TIMES)
  swapped = (swapped & ~clean)[..., number]
  other = keypoints[:, :, points.mirror_order]
  return jnp.where(swapped[..., None], other, keypoints)


def _lose(
  draws: _Draws, clean: Array, config: FilmingConfig, points: Points
) -> Array:
  """Draws which points are hidden or missed, `[B, T, P]`."""
  lost = ~clean & draws.chosen(config.gaps, len(points.names))
  groups = len(points.hidden)
  which = jax.random.randint(draws.key(), (draws.count, 1), 0, groups)
  # Whatever hides limbs, such as a table, stays for longer.
  for hidden, share in (
    (jnp.asarray(points.hidden)[which], config.limb_gaps),
    (jnp.asarray(points.lower), config.lower_gaps),
  ):
    lost |= hidden & draws.chosen(share, 1, _HIDDEN_TIMES)
  if draws.frames > 1:
    lost |= ~clean & draws.chosen(config.lost, 1)
  return lost


def hold(rng: Array, values: Array, frames: Array) -> Array:
  """Holds each value of a clip for several frames.

  Args:
    rng: The random key.
    values: Independent random values, `[B, T, ...]`.
    frames: The mean number of frames that each lasts, at least 1, `[B, 1, 1]`.

  Returns:
    Values of the same distribution, `[B, T, ...]`; each repeats the previous
    frame's with probability 1 - 1 / `frames`.
  """
  changes = jax.random.uniform(rng, values.shape) < 1 / frames
  numbers = jnp.arange(values.shape[1])[:, None]
  index = jax.lax.cummax(jnp.where(changes, numbers, 0), axis=1)
  return jnp.take_along_axis(values, index, axis=1)


def correlate(noise: Array, likeness: Array) -> Array:
  """Correlates noise over the frames of a clip.

  Args:
    noise: Independent normal noise, `[B, T, P, 2]`.
    likeness: The correlation of successive frames, `[B, 1, 1]`.

  Returns:
    Noise with the same standard deviation, `[B, T, P, 2]`.
  """
  numbers = jnp.arange(noise.shape[1])
  later = numbers[:, None] - numbers
  shares = jnp.where(later >= 0, likeness ** jnp.maximum(later, 0), 0)
  new = jnp.where(numbers == 0, 1, jnp.sqrt(1 - jnp.square(likeness)))
  return jnp.einsum('bts,bspc->btpc', shares * new, noise, precision='highest')
