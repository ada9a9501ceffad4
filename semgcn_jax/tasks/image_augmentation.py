"""Augments images on the device, within the training step.

A batch is a dict of arrays: `images` `[B, S, S, 3]` (0 to 255), `inputs`
`[B, J, 2]` (the true 2D joints on the normalized image) and `targets`
`[B, J, 3]` (metres, camera frame, root at the origin).
"""

import jax
import jax.numpy as jnp

from semgcn_jax.config import AugmentationConfig
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.pictures.image_files import FILL
from semgcn_jax.tasks.flips import random_flip

Array = jax.Array
Batch = dict[str, Array]


def augment_images(
  rng: Array, batch: Batch, *, config: AugmentationConfig, skeleton: Skeleton
) -> Batch:
  """Augments a batch: flip, then turn and zoom, then color.

  Args:
    batch: Images and their poses, see above.
  """
  rngs = jax.random.split(rng, 3)
  if config.flip:
    batch = random_flip(rngs[0], batch, skeleton)
  if config.image_turn or config.image_zoom:
    batch = _turn_and_zoom(rngs[1], batch, config)
  if config.image_color:
    images = _change_colors(rngs[2], batch['images'], config.image_color)
    batch = batch | {'images': images}
  return batch


def _turn_and_zoom(
  rng: Array, batch: Batch, config: AugmentationConfig
) -> Batch:
  """Rotates and zooms images about their centers.

  Rotation also turns the pose; zooming does not change it. New pixels are gray.
  """
  count = len(batch['targets'])
  turn, zoom = jax.random.uniform(rng, (2, count), minval=-1, maxval=1)
  turn = turn * jnp.deg2rad(config.image_turn)
  zoom = jnp.exp(zoom * jnp.log1p(config.image_zoom))
  cos, sin = jnp.cos(turn), jnp.sin(turn)
  rotation = jnp.stack(
    [jnp.stack([cos, -sin], axis=-1), jnp.stack([sin, cos], axis=-1)], axis=-2
  )
  forward = rotation * zoom[:, None, None]
  backward = rotation.swapaxes(-1, -2) / zoom[:, None, None]
  targets = batch['targets']
  turned = jnp.einsum('bxy,bjy->bjx', rotation, targets[..., :2])
  return batch | {
    'images': jax.vmap(_sample)(batch['images'], backward),
    'inputs': jnp.einsum('bxy,bjy->bjx', forward, batch['inputs']),
    'targets': jnp.concatenate([turned, targets[..., 2:]], axis=-1),
  }


def _sample(image: Array, backward: Array) -> Array:
  """Samples an image `[S, S, 3]` where a matrix `[2, 2]` maps its pixels."""
  size = image.shape[0]
  middle = (size - 1) / 2
  steps = jnp.arange(size) - middle
  x, y = jnp.meshgrid(steps, steps)
  places = jnp.einsum('xy,yhw->xhw', backward, jnp.stack([x, y])) + middle
  return jax.vmap(
    lambda channel: jax.scipy.ndimage.map_coordinates(
      channel.astype(jnp.float32), [places[1], places[0]], 1, cval=FILL
    ),
    in_axes=-1,
    out_axes=-1,
  )(image)


def _change_colors(rng: Array, images: Array, most: float) -> Array:
  """Scales brightness, contrast and the three color channels."""
  images = images.astype(jnp.float32)
  rngs = jax.random.split(rng, 3)

  def factor(rng, channels):
    shape = (len(images), 1, 1, channels)
    return 1 + most * jax.random.uniform(rng, shape, minval=-1, maxval=1)

  mean = images.mean(axis=(1, 2), keepdims=True)
  images = mean + (images - mean) * factor(rngs[0], 1)
  images = images * factor(rngs[1], 1) * factor(rngs[2], 3)
  return jnp.clip(images, 0, 255)
