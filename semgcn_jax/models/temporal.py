"""Time between the layers of a network: each frame looks at those around it.

Notation: J joints, T frames, C channels, H heads. The joints come first, then
the frames, `[J, T, ..., C]`.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ModelConfig
from semgcn_jax.models.functional import linear

Array = jax.Array

_HEADS = 4


def reaches(receptive_field: int, layers: int) -> tuple[int, ...]:
  """Spreads a receptive field over the layers between frames.

  Args:
    receptive_field: The number of frames, odd.
    layers: The number of layers, L.

  Returns:
    How many frames each layer reaches in either direction, `[L]`; in all half
    of the other frames. It is 0 for layers that are not needed.
  """
  half = receptive_field // 2
  ends = [half * layer // layers for layer in range(layers + 1)]
  return tuple(end - start for start, end in zip(ends, ends[1:], strict=False))


def reach(config: ModelConfig) -> tuple[int, int]:
  """Tells how many frames before and behind it a pose depends on."""
  others = config.receptive_field - 1
  return (others, 0) if config.causal else (others // 2, others // 2)


class TemporalAttention(nn.Module):
  """Adds to each joint what differs where it attends to in other frames.

  Values have half of the channels, queries and keys a quarter. A bias for each
  distance in time is learned. The value of the frame itself is subtracted from
  what is attended to. So a single frame, or somebody who does not move, stays
  as it is; and so does everything in a fresh network. There is nothing to
  attend to before the first and behind the last frame.

  Attributes:
    reach: How many frames before and behind it a frame attends to; with 0 there
      is no layer.
    causal: Whether it attends to twice as many before, and to none behind.
    streaming: Whether frames come one at a time. What is still needed of those
      before is then in the collection `cache`.
  """

  reach: int
  causal: bool = False
  streaming: bool = False

  @nn.compact
  def __call__(self, x: Array, length: Array | None = None) -> Array:
    """Adds what differs: `[J, T, ..., C]` -> `[J, T, ..., C]`.

    Args:
      x: The nodes. With `streaming` T is 1.
      length: How many frames of each clip are real, `[...]`; the others are not
        attended to. None takes all.

    Raises:
      ValueError: With `streaming`, it is not causal.
    """
    if not self.reach:
      return x
    offsets = range(-self.reach, self.reach + 1)
    if self.causal:
      offsets = range(-2 * self.reach, 1)
    channels = x.shape[-1]
    width, narrow = channels // 2, channels // 4
    heads = math.gcd(_HEADS, narrow)
    kernel = self.param(
      'kernel', nn.initializers.lecun_normal(), (channels, 2 * narrow + width)
    )
    out = self.param('output', nn.initializers.zeros, (width, channels))
    bias = self.param('distance', nn.initializers.zeros, (len(offsets), heads))

    normed = nn.LayerNorm(use_bias=False, use_scale=False)(x)
    attending = linear(normed, kernel[:, : 2 * narrow])
    query, key = jnp.split(attending, 2, axis=-1)
    value = linear(x, kernel[:, 2 * narrow :])
    both = jnp.concatenate([key, value], axis=-1)
    if self.streaming:
      others, exist = self._remember(both, len(offsets))
    else:
      others, exist = _around(both, offsets, length)

    def by_head(values):
      return values.reshape(*values.shape[:-1], heads, width // heads)

    # Which channels are those of each head, `[C, H]`: a product with this is
    # faster than sums over a dimension of its own.
    of_head = np.kron(np.eye(heads), np.ones((narrow // heads, 1)))
    of_head = jnp.asarray(of_head, x.dtype)
    query = query * (narrow // heads) ** -0.5
    scores = [
      jnp.where(
        there,
        linear(query * other[..., :narrow], of_head).astype(bias.dtype) + far,
        -jnp.inf,
      )
      for other, there, far in zip(others, exist, bias, strict=True)
    ]
    weights = jax.nn.softmax(jnp.stack(scores), axis=0).astype(x.dtype)
    seen = sum(
      weight[..., None] * by_head(other[..., narrow:])
      for weight, other in zip(weights, others, strict=True)
    )
    differs = (seen - by_head(value)).reshape(value.shape)
    return x + linear(differs, out)

  def _remember(
    self, x: Array, count: int
  ) -> tuple[Sequence[Array], Sequence[Array]]:
    """Does what `_around` does for the last frame of a stream, T = 1."""
    if not self.causal:
      raise ValueError('a stream needs a causal network')
    shape = (x.shape[0], count - 1, *x.shape[2:])
    past = self.variable('cache', 'past', jnp.zeros, shape, x.dtype)
    seen = self.variable('cache', 'seen', jnp.zeros, (), jnp.int32)
    frames = jnp.concatenate([past.value, x], axis=1)
    exist = jnp.arange(count) >= count - 1 - seen.value
    if not self.is_initializing():
      past.value = frames[:, 1:]
      seen.value = jnp.minimum(seen.value + 1, count - 1)
    return jnp.split(frames, count, axis=1), list(exist)


def _around(
  x: Array, offsets: Sequence[int], length: Array | None
) -> tuple[Sequence[Array], Sequence[Array]]:
  """Takes for each frame those around it.

  Args:
    x: `[J, T, ..., C]`.
    offsets: How many frames later those are.
    length: How many frames of each clip are real, `[...]`; None for all.

  Returns:
    For each offset the frames there, `[J, T, ..., C]`, and whether there are
    such frames, `[T, ..., 1]`. Every frame has itself.
  """
  frame = jnp.arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2))
  end = x.shape[1] if length is None else length[..., None]
  exist = [
    (frame + offset >= 0) & (frame + offset < end) | (offset == 0)
    for offset in offsets
  ]
  return [_shift(x, offset) for offset in offsets], exist


def _shift(x: Array, offset: int) -> Array:
  """Takes for each frame, `[J, T, ...]`, the one so many frames later, or 0."""
  more = [(0, 0)] * x.ndim
  more[1] = (max(0, -offset), max(0, offset))
  start = max(0, offset)
  return jnp.pad(x, more)[:, start : start + x.shape[1]]
