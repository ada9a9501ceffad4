"""Training data made richer on the device, within the training step.

A batch is a dict of arrays: `inputs` `[B, J, 2]` (normalised screen) and
`targets` `[B, J, 3]` (metres, camera frame, root at the origin); for virtual
cameras also `roots` `[B, 3]` (metres, camera frame) and `cameras` `[B]`, each
pose's row of `Lenses`.
"""

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.cameras import Camera, normalize_screen, rotate
from semgcn_jax.config import Config
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import FlagError
from semgcn_jax.skeleton import Skeleton

Array = jax.Array
Batch = dict[str, Array]

NEAREST = 1.0  # Metres from a virtual camera to a pelvis, at least.
NOISE_WIDTH = 1000  # Pixels of the image that --noise is given for.


def check_virtual_cameras(config: Config) -> None:
  """Raises a FlagError where the 2D is no projection that could be redone."""
  if config.virtual_cameras and (
    config.keypoints != 'gt' or config.image_aligned
  ):
    given = ' '.join(f'--{name}=0' for name in config.virtual_cameras)
    raise FlagError(
      f'--{config.virtual_cameras[0]}: virtual cameras need --keypoints=gt, and'
      f' no --image_aligned; or give {given}'
    )


def batch_arrays(train: Pairs, config: Config) -> dict[str, np.ndarray]:
  """What a batch is taken from: the arrays that this run needs, of all poses.

  Raises:
    FlagError: virtual cameras would come too close to a pose.
  """
  names = ['inputs', 'targets']
  if config.virtual_cameras:
    names += ['roots', 'cameras']
    nearest = train.roots[:, 2].min()
    if nearest - config.virtual_shift < NEAREST:
      raise FlagError(
        f'--virtual_shift={config.virtual_shift:g}: the nearest pose is'
        f' {nearest:.2f} m from its camera, and {NEAREST} m must be left'
      )
  return {name: getattr(train, name) for name in names}


@flax.struct.dataclass
class Lenses:
  """What of calibrated cameras a virtual one needs, K or one for each pose.

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
  """The cameras as float32 arrays."""

  def stack(function):
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
  """`cameras.project` and `normalize_screen`, differently lensed by pose.

  Args:
    points: `[B, J, 3]`, camera frame, metres, in front of the camera.
    lenses: of each pose.

  Returns:
    `[B, J, 2]`, normalised screen.
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
  """Rotates `[B, J, 3]` about unit axes `[B, 3]` by angles `[B]`, radians."""
  axis = jnp.broadcast_to(axis[:, None], vectors.shape)
  cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
  along = jnp.sum(axis * vectors, axis=-1, keepdims=True)
  return (
    vectors * cos + jnp.cross(axis, vectors) * sin + axis * along * (1 - cos)
  )


def virtual_cameras(
  rng: Array, batch: Batch, lenses: Lenses, config: Config
) -> Batch:
  """Sees every pose by a random camera near its own.

  The camera circles the pelvis about the world's vertical, z (`virtual_turn`),
  and up or down about its own x axis (`virtual_pitch`), always facing it as
  before; in the camera frame the pose turns instead, about its pelvis. Then
  the camera moves along its own axes (`virtual_shift`) and zooms by 1 / (1 + z)
  to 1 + z (`virtual_zoom`). All are uniform within their ranges, both signs,
  the zoom in its logarithm. With ranges of zero the projection of the pose
  itself comes back.

  Args:
    rng: key.
    batch: with roots and cameras.
    lenses: of the cameras.
    config: the ranges.

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
  lenses = lenses.replace(focal=lenses.focal * zoom)
  inputs = project(poses + roots[:, None], lenses)
  return batch | {'inputs': inputs, 'targets': poses}


def flip(positions: Array, skeleton: Skeleton) -> Array:
  """Mirrors `[..., J, D]` in x, left and right joints exchanged.

  On the normalised screen about the middle of the image, as is usual; an exact
  mirror image would be about the principal point (28 pixels away, on average
  over Human3.6M's cameras), which detected 2D does not always come with.
  """
  order = np.arange(skeleton.num_joints)
  order[list(skeleton.left + skeleton.right)] = skeleton.right + skeleton.left
  mirror = np.ones(positions.shape[-1], np.float32)
  mirror[0] = -1
  return positions[..., order, :] * mirror


def random_flip(rng: Array, batch: Batch, skeleton: Skeleton) -> Batch:
  """Mirrors every other pose of a batch, at random."""
  chosen = jax.random.bernoulli(rng, shape=(len(batch['targets']), 1, 1))
  return batch | {
    name: jnp.where(chosen, flip(batch[name], skeleton), batch[name])
    for name in ('inputs', 'targets')
  }


def corrupt(
  rng: Array, batch: Batch, skeleton: Skeleton, config: Config
) -> Batch:
  """Makes the inputs like those of a detector.

  Adds Gaussian noise (`noise`), and puts a joint that is missing (`missing`)
  to its parent; the root is never missing.
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
  config: Config,
  skeleton: Skeleton,
  lenses: Lenses | None,
) -> Batch:
  """All that the config asks for, in this order: cameras, flip, corruption."""
  rngs = jax.random.split(rng, 3)
  if config.virtual_cameras:
    batch = virtual_cameras(rngs[0], batch, lenses, config)
  if config.flip:
    batch = random_flip(rngs[1], batch, skeleton)
  if config.noise or config.missing:
    batch = corrupt(rngs[2], batch, skeleton, config)
  return batch
