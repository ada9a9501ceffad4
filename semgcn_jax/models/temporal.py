"""Time between the layers of a network: what differs in other frames.

Notation: J joints, T frames, C channels. The joints come first, then the
frames, `[J, T, ..., C]`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ModelConfig
from semgcn_jax.models.functional import linear

Array = jax.Array


def dilations(receptive_field: int, layers: int) -> tuple[int, ...]:
  """Spreads a receptive field over temporal layers of three frames each.

  The distances between the frames of a layer roughly double from layer to
  layer.

  Args:
    receptive_field: The number of frames, odd.
    layers: The number of layers, L.

  Returns:
    The distance for each layer, `[L]`, whose sum is half of the other frames;
    0 for layers that are not needed.
  """
  half, growth = receptive_field // 2, 2.0 ** np.arange(layers)
  least = np.minimum(1, np.maximum(0, half - np.arange(layers)))
  more = np.cumsum(growth / growth.sum()) * (half - least.sum())
  more = np.diff(np.round(more).astype(int), prepend=0)
  return tuple((least + more).tolist())


def reach(config: ModelConfig) -> tuple[int, int]:
  """Tells how many frames before and behind it a pose depends on."""
  others = config.receptive_field - 1
  return (others, 0) if config.causal else (others // 2, others // 2)


class TemporalConv(nn.Module):
  """Adds to each frame a linear map of what differs in two other frames.

  These are the frames at the same distance before and after, or, if it is
  causal, both before. This is a dilated convolution of three frames, whose
  weights for frames that are alike sum to the identity. So a single frame, or
  somebody who does not move, stays as it is; and so does everything in a fresh
  network. Before the first and behind the last frame, these are repeated.

  Attributes:
    dilation: The distance in frames; with 0 there is no layer.
    causal: Whether both frames lie before.
    streaming: Whether frames come one at a time. Those that are still needed
      are then in the collection `cache`.
  """

  dilation: int
  causal: bool = False
  streaming: bool = False

  @nn.compact
  def __call__(self, x: Array, length: Array | None = None) -> Array:
    """Adds what differs: `[J, T, ..., C]` -> `[J, T, ..., C]`.

    Args:
      x: The nodes. With `streaming` T is 1.
      length: How many frames of each clip are real, `[...]`; those behind are
        taken as repetitions of the last. None takes all.
    """
    if not self.dilation:
      return x
    channels = x.shape[-1]
    kernel = self.param(
      'kernel', nn.initializers.zeros, (channels, 2 * channels)
    )
    if self.streaming:
      return self._add_to_last(x, kernel)
    if length is not None:
      x = repeat_last(x, length)
    first, second = jnp.split(linear(x, kernel), 2, axis=-1)
    if self.causal:
      earlier, other = shift(first, -2 * self.dilation), -self.dilation
    else:
      earlier, other = shift(first, -self.dilation), self.dilation
    return x + (earlier - first) + (shift(second, other) - second)

  def _add_to_last(self, x: Array, kernel: Array) -> Array:
    """Does the same for the last frame, `[J, 1, ..., C]`, of a stream."""
    if not self.causal:
      raise ValueError('a stream needs a causal network')
    shape = (x.shape[0], 2 * self.dilation, *x.shape[2:])
    started = self.variable('cache', 'started', jnp.zeros, (), bool)
    past = self.variable('cache', 'past', jnp.zeros, shape, x.dtype)
    frames = jnp.where(started.value, past.value, jnp.broadcast_to(x, shape))
    if not self.is_initializing():
      past.value = jnp.concatenate([frames[:, 1:], x], axis=1)
      started.value = jnp.ones((), bool)
    of_first, of_second = jnp.split(kernel, 2, axis=-1)
    middle = frames[:, self.dilation, None]
    return (
      x + linear(frames[:, :1] - x, of_first) + linear(middle - x, of_second)
    )


def shift(x: Array, offset: int) -> Array:
  """Takes for each frame the one so many frames later, repeating the ends.

  Args:
    x: `[J, T, ..., C]`.
    offset: How many frames later; below 0, earlier.
  """
  count = min(abs(offset), x.shape[1])
  if offset < 0:
    ends, rest = x[:, :1], x[:, : x.shape[1] - count]
  else:
    ends, rest = x[:, -1:], x[:, count:]
  ends = jnp.broadcast_to(ends, (len(x), count, *x.shape[2:]))
  return jnp.concatenate([ends, rest] if offset < 0 else [rest, ends], axis=1)


def repeat_last(x: Array, length: Array) -> Array:
  """Puts the last real frame of each clip in the place of those behind it.

  Args:
    x: `[J, T, ..., C]`.
    length: The number of real frames of each clip, `[...]`, at least 1.
  """
  frames = jnp.arange(x.shape[1]).reshape(-1, *[1] * length.ndim)
  index = jnp.minimum(frames, length - 1)[None, ..., None]
  return jnp.take_along_axis(x, index, axis=1)
