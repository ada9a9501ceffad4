"""Samples random cameras: viewpoint, lens, image size, and framing."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import FilmingConfig
from semgcn_jax.geometry.cameras import Lens
from semgcn_jax.geometry.rotations import (
  about_axis,
  multiply,
  rotate,
  to_axis,
  y_down,
)

Array = jax.Array

NEAREST = 0.5  # The minimum depth of a joint, metres.
_LONGER = 1000.0  # The longer side of every image, pixels.


@flax.struct.dataclass
class Views:
  """A random camera for each of B poses.

  Attributes:
    rotation: From the level frame to the camera frame, `[B, 3, 3]`.
    root: The root in the camera frame, `[B, 3]`, metres.
    focal: The focal length, `[B]`, pixels.
    image_size: Width and height, `[B, 2]`, pixels.
    center: The principal point, `[B, 2]`, pixels.
  """

  rotation: Array
  root: Array
  focal: Array
  image_size: Array
  center: Array

  def project(self, points: Array) -> Array:
    """Projects points `[B, P, 3]`, metres, camera frame, to pixels.

    Depths below a centimetre are clamped to a centimetre.
    """
    points = jnp.maximum(points, jnp.array((-jnp.inf, -jnp.inf, 0.01)))
    lens = Lens(self.focal[:, None, None], self.center[:, None])
    return lens.project(points)


def level(targets: Array, up: Array) -> Array:
  """Rotates poses so that the world's vertical points along -y.

  Args:
    targets: Poses `[N, J, 3]` in the camera frame.
    up: The world's vertical in the same frames, `[N, 3]`, unit length.

  Returns:
    The poses in level frames, `[N, J, 3]`.
  """
  return y_down(rotate(to_axis(up), targets))


def random_views(
  rng: Array, poses: Array, config: FilmingConfig, *, level: bool = True
) -> Views:
  """Samples a camera for each pose.

  Args:
    rng: The random key.
    poses: Poses `[B, J, 3]`, metres, level frame, root at the origin.
    config: The ranges of the cameras.
    level: Whether cameras are about level, as people film; otherwise, unless
      `film_turn` is less than 180, they see the poses from all around.

  Returns:
    The cameras; the whole pose is in front of each.
  """
  count = len(poses)
  rngs = iter(jax.random.split(rng, 12))

  def uniform(low=-1.0, high=1.0, shape=(count,)):
    return jax.random.uniform(next(rngs), shape, minval=low, maxval=high)

  def normal(most):
    return jnp.clip(jax.random.normal(next(rngs), (count,)), -most, most)

  most = np.deg2rad(config.film_turn)
  turn = uniform(-most, most)
  pitch = config.film_tilt + config.film_pitch * normal(3.5)
  pitch = jnp.deg2rad(jnp.clip(pitch, -85, 85))
  roll = jnp.deg2rad(config.film_roll * normal(3.0))
  if not level and config.film_turn == 180:
    # Uniform among all rotations.
    pitch_rng, roll_rng = jax.random.split(jax.random.fold_in(rng, 1))
    pitch = jnp.arcsin(jax.random.uniform(pitch_rng, (count,), minval=-1))
    roll = jnp.pi * jax.random.uniform(roll_rng, (count,), minval=-1)
  rotation = multiply(
    about_axis(2, roll), about_axis(0, pitch), about_axis(1, turn)
  )
  seen = rotate(rotation, poses)
  aspect = jnp.exp(uniform() * jnp.log(config.film_aspect))
  image_size = _LONGER * jnp.stack(
    [jnp.minimum(aspect, 1), jnp.minimum(1 / aspect, 1)], axis=-1
  )
  field = jnp.deg2rad(uniform(config.film_fov_low, config.film_fov_high))
  focal = _LONGER / (2 * jnp.tan(field / 2))
  # The bounding box of the pose fills this fraction of the image.
  low, high = seen[..., :2].min(axis=1), seen[..., :2].max(axis=1)
  size = uniform(config.film_size_low, config.film_size_high)
  close = uniform(0.0, 1.0) < config.film_crop
  size = jnp.where(close, uniform(0.7, 2.0), size)
  metres = jnp.max((high - low) / image_size, axis=-1)
  depth = focal * metres / size
  depth = jnp.maximum(depth, NEAREST - seen[..., 2].min(axis=1))
  # The box is placed so that all of it is in the image; a close camera may cut
  # off part of the person.
  box = (high - low) * (focal / depth)[:, None]
  free = jnp.maximum(image_size - box, 0) / 2
  free = jnp.where(close[:, None], jnp.maximum(free, 0.4 * box), free)
  middle = uniform(shape=(count, 2)) * free
  moved = uniform(0.0, 1.0) < config.film_off_axis
  off_axis = uniform(shape=(count, 2)) * 0.4 * image_size
  center = image_size / 2 + jnp.where(moved[:, None], off_axis, 0)
  place = (image_size / 2 + middle - center) * (depth / focal)[:, None]
  root = jnp.concatenate([place - (low + high) / 2, depth[:, None]], axis=-1)
  return Views(rotation, root, focal, image_size, center)
