"""Augments the training poses on the device, within the training step.

A batch is a dict of arrays: `inputs` `[B, J, 2]` (normalized screen) and
`targets` `[B, J, 3]` (metres, camera frame, root at the origin); for virtual
cameras also `roots` `[B, 3]` (metres, camera frame) and `cameras` `[B]`, each
pose's row of `Lenses`. Poses to be filmed (`input_joints`) only have `targets`,
upright. With `backbone` there are also `images`, see `image_augmentation`.
"""

from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import AugmentationConfig
from semgcn_jax.geometry.cameras import Camera, Lens, normalize_screen
from semgcn_jax.geometry.rotations import turn
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.tasks.flips import random_flip

Array = jax.Array
Batch = dict[str, Array]

NOISE_WIDTH = 1000  # The image width, in pixels, that `noise` refers to.


@flax.struct.dataclass
class Lenses:
  """The parameters of K calibrated cameras that virtual ones need.

  Attributes:
    up: `[K, 3]`, the world's vertical in the camera frame.
    lens: The projection to the normalized screen, arrays of `[K, 1, ...]`.
  """

  up: Array
  lens: Lens


def make_lenses(cameras: Sequence[Camera]) -> Lenses:
  """Stacks the parameters of cameras, in float32."""
  lenses = [
    camera.lens._replace(
      focal=camera.lens.focal / camera.width * 2,
      center=normalize_screen(camera.lens.center, camera),
    )
    for camera in cameras
  ]
  fields = [
    np.array(field, 'f')[:, None] for field in zip(*lenses, strict=True)
  ]
  ups: Any = np.array([camera.up for camera in cameras], 'f')
  return Lenses(ups, Lens(*fields))


def virtual_cameras(
  rng: Array,
  batch: Batch,
  lenses: Lenses,
  config: AugmentationConfig,
  skeleton: Skeleton,
) -> Batch:
  """Shows every pose, or clip, to a random camera near its own.

  The camera orbits the pelvis, or the middle of its path, about the world's
  vertical, z (`virtual_turn`), and about its own x axis (`virtual_pitch`). It
  keeps facing that point, so in the camera frame the pose turns instead. Then
  the camera moves along its own axes (`virtual_shift`) and zooms by 1 / (1 + z)
  to 1 + z, for a `virtual_zoom` of z. All are uniform in both directions; the
  zoom is uniform in its logarithm. Ranges of zero give the projection of the
  original pose.

  Args:
    batch: A batch with roots and cameras; for clips `[B, T, 3]` and `[B, T]`.
    lenses: The lenses of all cameras.
    config: The ranges of the changes.

  Returns:
    The batch with other inputs and targets.
  """
  points, roots, cameras = (batch[n] for n in ('targets', 'roots', 'cameras'))
  shape, count = points.shape, len(points)
  is_clip = points.ndim == 4
  if is_clip:
    # All joints of all frames are treated as one pose.
    middle, cameras = roots.mean(axis=1), cameras[:, 0]
    points = points + (roots - middle[:, None])[:, :, None]
    points, roots = points.reshape(count, -1, 3), middle
  lenses = jax.tree.map(lambda x: jnp.asarray(x)[cameras], lenses)
  random = jax.random.uniform(rng, (6, count), minval=-1, maxval=1)
  points = turn(points, lenses.up, random[0] * jnp.deg2rad(config.virtual_turn))
  sideways = jnp.zeros((count, 3)).at[:, 0].set(1)
  points = turn(points, sideways, random[1] * jnp.deg2rad(config.virtual_pitch))
  roots = roots + config.virtual_shift * random[2:5].T
  zoom = jnp.exp(random[5] * jnp.log1p(config.virtual_zoom))[:, None, None]
  lens = lenses.lens._replace(focal=lenses.lens.focal * zoom)
  inputs = lens.project(points + roots[:, None]).reshape(*shape[:-1], 2)
  poses = points.reshape(shape)
  if is_clip:
    poses = poses - poses[:, :, skeleton.root, None]
  return batch | {'inputs': inputs, 'targets': poses}


def corrupt(
  rng: Array, batch: Batch, skeleton: Skeleton, config: AugmentationConfig
) -> Batch:
  """Makes the inputs look like those of a detector.

  Adds Gaussian noise (`noise`), and replaces missing joints (`missing`) by
  their parents. The root is never missing.
  """
  inputs = batch['inputs']
  noise_rng, missing_rng = jax.random.split(rng)
  scale = config.noise * 2 / NOISE_WIDTH
  inputs = inputs + scale * jax.random.normal(noise_rng, inputs.shape)
  parents = np.array(skeleton.parents)
  parents[skeleton.root] = skeleton.root
  missing = jax.random.bernoulli(
    missing_rng, config.missing, (*inputs.shape[:-1], 1)
  )
  inputs = jnp.where(missing, inputs[..., parents, :], inputs)
  return batch | {'inputs': inputs}


def augment(
  rng: Array,
  batch: Batch,
  *,
  config: AugmentationConfig,
  skeleton: Skeleton,
  lenses: Lenses | None,
) -> Batch:
  """Augments a batch: virtual cameras, which need lenses, flip, corruption."""
  rngs = jax.random.split(rng, 3)
  if config.virtual_cameras:
    assert lenses is not None
    batch = virtual_cameras(rngs[0], batch, lenses, config, skeleton)
  if config.flip:
    batch = random_flip(rngs[1], batch, skeleton)
  if config.noise or config.missing:
    batch = corrupt(rngs[2], batch, skeleton, config)
  return batch
