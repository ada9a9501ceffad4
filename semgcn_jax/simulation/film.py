"""Films poses: from a level pose to the input and target of a network."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from semgcn_jax.config import FilmingConfig, ModelConfig
from semgcn_jax.geometry.joint_sets import (
  derive_joints,
  joint_sets_of,
  source_table,
)
from semgcn_jax.geometry.rotations import about_vector, rotate
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.inputs import hold_lost, make_inputs, shows_enough
from semgcn_jax.simulation.bodies import vary_bodies
from semgcn_jax.simulation.cameras import Views, random_views
from semgcn_jax.simulation.detector_noise import detect
from semgcn_jax.simulation.points import mark, points_of

Array = jax.Array


def film(
  rng: Array,
  poses: Array,
  skeleton: Skeleton,
  model: ModelConfig,
  config: FilmingConfig,
) -> tuple[Array, Array]:
  """Films single poses `[B, J, 3]` as clips of one frame; see `film_clips`."""
  still = jnp.zeros((len(poses), 1, 3))
  inputs, targets = film_clips(
    rng, poses[:, None], still, jnp.ones(1), skeleton, model, config
  )
  return inputs[:, 0], targets[:, 0]


def film_clips(
  rng: Array,
  poses: Array,
  roots: Array,
  rate: Array,
  skeleton: Skeleton,
  model: ModelConfig,
  config: FilmingConfig,
) -> tuple[Array, Array]:
  """Films clips of level poses, each with one camera.

  Args:
    rng: The random key.
    poses: Poses `[B, T, J, 3]`, level frame, root at the origin, in the unit of
      the skeleton, so that they are about as large as people in metres.
    roots: Positions of the roots relative to the middle of the clip,
      `[B, T, 3]`, same unit, level frame.
    rate: The frames per second of each clip, `[B]`.
    skeleton: The skeleton of the poses.
    model: The settings that define the network's input.
    config: The ranges of bodies, cameras and detector errors.

  Returns:
    The inputs, `[B, T, J, C]`, and the targets, `[B, T, J, 3]`, same unit, in
    the coordinate frames that the network predicts in.
  """
  body_rng, view_rng, mark_rng, set_rng, detect_rng, known_rng = (
    jax.random.split(rng, 6)
  )
  count, frames = poses.shape[:2]
  poses = _in_each_frame(
    lambda frame: vary_bodies(body_rng, frame, skeleton, config), poses
  )
  views, points, pixels = _see(
    (view_rng, mark_rng), poses, roots, rate, skeleton, config
  )
  marked = points_of(skeleton)
  found = detect(detect_rng, pixels, views.image_size, config, marked)
  joint_sets = joint_sets_of(skeleton)
  joint_sets = [joint_sets[name] for name in model.input_joints]
  table = jnp.asarray(source_table(joint_sets, marked.names))
  joint_set = jax.random.randint(set_rng, (count,), 0, len(table))
  keypoints = derive_joints(found, table[joint_set][:, None])
  if frames > 1:
    keypoints = hold_lost(keypoints, shows_enough(keypoints))
  # If the focal length is known, so is the principal point.
  known = jax.random.bernoulli(known_rng, config.known_focal, (count,))

  def repeat(values):
    return jnp.repeat(values, frames, axis=0)

  inputs, rotation = make_inputs(
    keypoints.reshape(-1, *keypoints.shape[2:]),
    repeat(joint_set),
    repeat(views.image_size),
    repeat(jnp.where(known, views.focal, 0)),
    repeat(jnp.where(known[:, None], views.center, views.image_size / 2)),
    model,
  )
  targets = points[:, :, : skeleton.num_joints]
  targets = targets - targets[:, :, skeleton.root, None]
  return (
    inputs.reshape(count, frames, *inputs.shape[1:]),
    rotate(rotation, targets.reshape(-1, *targets.shape[2:])).reshape(
      targets.shape
    ),
  )


def _see(
  rngs: tuple[Array, Array],
  poses: Array,
  roots: Array,
  rate: Array,
  skeleton: Skeleton,
  config: FilmingConfig,
) -> tuple[Views, Array, Array]:
  """Samples a camera for each clip, and projects the keypoints.

  Returns:
    The cameras, and the keypoints, which begin with the joints, see
    `points_of`: in camera frames, `[B, T, P, 3]`, and in the image,
    `[B, T, P, 2]`, pixels.
  """
  view_rng, mark_rng = rngs
  count, frames = poses.shape[:2]

  def together(clips):
    """Merges the frames of each clip: `[B, T, P, 3]` to `[B, T * P, 3]`."""
    return clips.reshape(count, -1, clips.shape[-1])

  if frames > 1:
    roots = _follow(jax.random.fold_in(view_rng, 1), roots, config)
  there = together(poses + roots[:, :, None])
  views = random_views(view_rng, there, config, level=skeleton.stands)
  seen = rotate(views.rotation, together(poses)).reshape(poses.shape)
  marked = points_of(skeleton)
  points = _in_each_frame(
    lambda frame: mark(mark_rng, frame, config, marked), seen
  )
  places = rotate(views.rotation, roots) + views.root[:, None]
  points = points + places[:, :, None]
  if frames > 1:
    turns = _pan(jax.random.fold_in(view_rng, 2), frames, rate, config)
    points = jnp.einsum('btij,btkj->btki', turns, points, precision='highest')
  pixels = views.project(together(points))
  return views, points, pixels.reshape(*points.shape[:-1], 2)


def _in_each_frame(function: Callable[[Array], Array], clips: Array) -> Array:
  """Maps a function of poses over the frames of clips `[B, T, ...]`."""
  return jax.vmap(function, 1, 1)(clips)


def _follow(rng: Array, roots: Array, config: FilmingConfig) -> Array:
  """Shortens root trajectories `[B, T, 3]` where the camera follows."""
  some_rng, share_rng = jax.random.split(rng)
  shape = (len(roots), 1, 1)
  followed = jax.random.bernoulli(some_rng, config.film_follow, shape)
  return roots * jnp.where(followed, jax.random.uniform(share_rng, shape), 1)


def _pan(rng: Array, frames: int, rate: Array, config: FilmingConfig) -> Array:
  """Pans half of the cameras slowly, `[B, T, 3, 3]`."""
  some_rng, speed_rng = jax.random.split(rng)
  shape = (len(rate), 1, 3)
  speed = jnp.deg2rad(config.film_pan) * jax.random.normal(speed_rng, shape)
  speed = speed * jax.random.bernoulli(some_rng, shape=(len(rate), 1, 1))
  seconds = (jnp.arange(frames) - (frames - 1) / 2) / rate[:, None]
  return about_vector(speed * seconds[..., None])
