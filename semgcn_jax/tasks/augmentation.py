"""Varies the training poses on the device, within the training step.

A batch is a dict of arrays: `inputs` `[B, J, 2]` (normalised screen) and
`targets` `[B, J, 3]` (metres, camera frame, root at the origin); for virtual
cameras also `roots` `[B, 3]` (metres, camera frame) and `cameras` `[B]`, each
pose's row of `Lenses`. Of poses that are to be filmed (`input_joints`) there
are only `targets`, upright, until they are. With `backbone` there are also
`images`, which `image_augmentation` varies.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import AugmentationConfig
from semgcn_jax.geometry.cameras import Camera, normalize_screen, rotate
from semgcn_jax.geometry.skeletons import Skeleton, mirror

Array = jax.Array
Batch = dict[str, Array]

NOISE_WIDTH = 1000  # The width in pixels of the image that `noise` is for.


@flax.struct.dataclass
class Lenses:
  """The parts of K calibrated cameras that virtual ones need.

  Attributes:
    up: `[K, 3]`, the world's vertical in the camera frame.
    focal: `[K, 2]`, normalised screen.
    center: `[K, 2]`, normalised screen.
    radial: `[K, 3]`, k1, k2, k3.
    tangential: `[K, 2]`, p1, p2.
  """

  up: Array
  focal: Array
  center: Array
  radial: Array
  tangential: Array


def make_lenses(cameras: Sequence[Camera]) -> Lenses:
  """Stacks the parts of cameras that virtual ones need, in float32."""

  def stack(function) -> Any:
    return np.array([function(camera) for camera in cameras], np.float32)

  def up(camera):
    w, x, y, z = camera.orientation
    return rotate((w, -x, -y, -z), np.array((0.0, 0.0, 1.0)))

  return Lenses(
    up=stack(up),
    focal=stack(lambda c: np.array(c.focal_length) / c.width * 2),
    center=stack(lambda c: normalize_screen(np.array(c.center), c)),
    radial=stack(lambda c: c.radial_distortion),
    tangential=stack(lambda c: c.tangential_distortion),
  )


def project(points: Array, lenses: Lenses) -> Array:
  """Projects each pose through a lens of its own, to the normalised screen.

  This is `cameras.project` and `cameras.normalize_screen` in JAX.

  Args:
    points: The joints, `[B, J, 3]`, camera frame, metres; they lie in front of
      the camera.
    lenses: The lens of each pose, so that K = B.

  Returns:
    The projected joints, `[B, J, 2]`, normalised screen.
  """
  xy = jnp.clip(points[..., :2] / points[..., 2:], -1, 1)
  r2 = jnp.sum(jnp.square(xy), axis=-1, keepdims=True)
  k1, k2, k3 = jnp.moveaxis(lenses.radial[:, None, :, None], 2, 0)
  tangential = lenses.tangential[:, None]
  radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
  bend = jnp.sum(tangential * xy, axis=-1, keepdims=True)
  xy = xy * (radial + bend) + tangential * r2
  return xy * lenses.focal[:, None] + lenses.center[:, None]


def turn(vectors: Array, axis: Array, angle: Array) -> Array:
  """Rotates `[B, J, 3]` about unit axes `[B, 3]` by angles `[B]` in radians."""
  axis = jnp.broadcast_to(axis[:, None], vectors.shape)
  cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
  along = jnp.sum(axis * vectors, axis=-1, keepdims=True)
  return (
    vectors * cos + jnp.cross(axis, vectors) * sin + axis * along * (1 - cos)
  )


def virtual_cameras(
  rng: Array, batch: Batch, lenses: Lenses, config: AugmentationConfig
) -> Batch:
  """Shows every pose to a random camera near its own.

  The camera circles the pelvis about the world's vertical, z (`virtual_turn`),
  and up or down about its own x axis (`virtual_pitch`). It always faces the
  pelvis as before, so in the camera frame it is the pose that turns, about its
  pelvis. Then the camera moves along its own axes (`virtual_shift`) and zooms
  by 1 / (1 + z) to 1 + z, for a `virtual_zoom` of z. All are uniform within
  their ranges, in both directions; the zoom is uniform in its logarithm. With
  ranges of zero the projection of the pose itself comes back.

  Args:
    rng: The random key.
    batch: A batch with roots and cameras.
    lenses: The lenses of all cameras.
    config: The ranges of the changes.

  Returns:
    The batch with other inputs and targets.
  """
  count = len(batch['targets'])
  lenses = jax.tree.map(lambda x: jnp.asarray(x)[batch['cameras']], lenses)
  random = jax.random.uniform(rng, (6, count), minval=-1, maxval=1)
  poses = turn(
    batch['targets'], lenses.up, random[0] * jnp.deg2rad(config.virtual_turn)
  )
  sideways = jnp.zeros((count, 3)).at[:, 0].set(1)
  poses = turn(poses, sideways, random[1] * jnp.deg2rad(config.virtual_pitch))
  roots = batch['roots'] + config.virtual_shift * random[2:5].T
  zoom = jnp.exp(random[5] * jnp.log1p(config.virtual_zoom))[:, None]
  lenses = dataclasses.replace(lenses, focal=lenses.focal * zoom)
  inputs = project(poses + roots[:, None], lenses)
  return batch | {'inputs': inputs, 'targets': poses}


def virtual_cameras_of_clips(
  rng: Array,
  batch: Batch,
  lenses: Lenses,
  config: AugmentationConfig,
  skeleton: Skeleton,
) -> Batch:
  """Shows every clip to a random camera near its own; see `virtual_cameras`.

  The camera circles the middle of the path of the pelvis.

  Args:
    rng: The random key.
    batch: A batch of clips, with roots `[B, T, 3]` and cameras `[B, T]`.
    lenses: The lenses of all cameras.
    config: The ranges of the changes.
    skeleton: The skeleton of the poses.
  """
  middle = batch['roots'].mean(axis=1)
  path = batch['roots'] - middle[:, None]
  points = batch['targets'] + path[:, :, None]
  # All joints of all frames are taken as those of one pose.
  seen = virtual_cameras(
    rng,
    {
      'targets': points.reshape(len(points), -1, 3),
      'roots': middle,
      'cameras': batch['cameras'][:, 0],
    },
    lenses,
    config,
  )
  turned = seen['targets'].reshape(points.shape)
  return batch | {
    'inputs': seen['inputs'].reshape(*points.shape[:-1], 2),
    'targets': turned - turned[:, :, skeleton.root, None],
  }


def random_flip(rng: Array, batch: Batch, skeleton: Skeleton) -> Batch:
  """Mirrors each pose, or clip, of a batch with a probability of one half."""
  poses = batch['targets']
  chosen = jax.random.bernoulli(
    rng, shape=(len(poses), *[1] * (poses.ndim - 1))
  )
  flipped = {
    name: jnp.where(chosen, mirror(batch[name], skeleton), batch[name])
    for name in ('inputs', 'targets')
    if name in batch
  }
  if 'roots' in batch:
    sign = jnp.where(chosen[..., 0], jnp.array([-1.0, 1.0, 1.0]), 1.0)
    flipped['roots'] = batch['roots'] * sign
  return batch | flipped


def corrupt(
  rng: Array, batch: Batch, skeleton: Skeleton, config: AugmentationConfig
) -> Batch:
  """Makes the inputs look like those of a detector.

  It adds Gaussian noise (`noise`), and puts a joint that is missing (`missing`)
  where its parent is. The root is never missing.
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
  """Varies a batch as the config asks: cameras, then flip, then corruption.

  Args:
    rng: The random key.
    batch: The batch.
    config: The settings that say what to vary.
    skeleton: The skeleton of the poses.
    lenses: The lenses of all cameras; None suffices without virtual cameras.

  Returns:
    The varied batch.
  """
  rngs = jax.random.split(rng, 3)
  if config.virtual_cameras:
    assert lenses is not None
    cameras = rngs[0], batch, lenses, config
    batch = (
      virtual_cameras_of_clips(*cameras, skeleton)
      if batch['targets'].ndim == 4
      else virtual_cameras(*cameras)
    )
  if config.flip:
    batch = random_flip(rngs[1], batch, skeleton)
  if config.noise or config.missing:
    batch = corrupt(rngs[2], batch, skeleton, config)
  return batch
