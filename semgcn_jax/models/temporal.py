"""Temporal layers of a network, in which frames attend to those around them.

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
  """Distributes a receptive field over the temporal layers.

  Args:
    receptive_field: The number of frames, odd.
    layers: The number of layers, L.

  Returns:
    The frames that each layer reaches in either direction, `[L]`, which sum to
    half of the other frames; 0 for layers that are not needed.
  """
  half = receptive_field // 2
  ends = [half * layer // layers for layer in range(layers + 1)]
  return tuple(end - start for start, end in zip(ends, ends[1:], strict=False))


def reach(config: ModelConfig) -> tuple[int, int]:
  """Returns the numbers of earlier and later frames that a pose depends on."""
  others = config.receptive_field - 1
  return (others, 0) if config.causal else (others // 2, others // 2)


class TemporalAttention(nn.Module):
  """Adds attention over other frames, minus the joint's own value.

  Values have half of the channels, queries and keys a quarter. A bias for each
  distance in time is learned. Since the value of the frame itself is
  subtracted, a single frame, or a person at rest, is unchanged, as are all
  frames in a fresh network. Nothing is attended to beyond the ends of a clip.

  Attributes:
    reach: The number of frames attended to in either direction; 0 makes the
      layer the identity.
    causal: Whether to attend to twice as many earlier frames, and none later.
    streaming: Whether frames come one at a time, with what is needed of earlier
      ones in the collection `cache`.
  """

  reach: int
  causal: bool = False
  streaming: bool = False

  @nn.compact
  def __call__(self, x: Array, length: Array | None = None) -> Array:
    """Attends to other frames: `[J, T, ..., C]` -> `[J, T, ..., C]`.

    Args:
      x: The nodes. With `streaming` T is 1.
      length: The number of frames before the padding of each clip, `[...]`; the
        padding is not attended to. None takes all.

    Raises:
      ValueError: It is `streaming`, but not causal.
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

    # The channels of each head, `[C, H]`: a product with this is faster than
    # sums over a separate dimension.
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
    """Does the same as `_around` for the last frame of a stream, T = 1."""
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
  """Gathers the frames around each frame of `[J, T, ..., C]`.

  Returns:
    For each offset the frames that much later, `[J, T, ..., C]`, and whether
    they exist, `[T, ..., 1]`. Every frame has itself.
  """
  frame = jnp.arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2))
  end = x.shape[1] if length is None else length[..., None]
  exist = [
    (frame + offset >= 0) & (frame + offset < end) | (offset == 0)
    for offset in offsets
  ]
  return [_shift(x, offset) for offset in offsets], exist


def _shift(x: Array, offset: int) -> Array:
  """Shifts frames, `[J, T, ...]`, to earlier times, padded with zeros."""
  more = [(0, 0)] * x.ndim
  more[1] = (max(0, -offset), max(0, offset))
  start = max(0, offset)
  return jnp.pad(x, more)[:, start : start + x.shape[1]]
