"""Films poses: from a level pose to the input and the target of a network."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.cameras import rotate as turn_by
from semgcn_jax.config import FilmingConfig, ModelConfig
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.filming.bodies import vary_bodies
from semgcn_jax.filming.cameras import level, random_views
from semgcn_jax.filming.detector import detect
from semgcn_jax.filming.inputs import derive_joints, make_inputs, source_table
from semgcn_jax.filming.points import NAMES, mark
from semgcn_jax.filming.rotations import rotate
from semgcn_jax.skeleton import Skeleton

Array = jax.Array

_SCORED_SEED = 0  # The seed of the cameras that poses are scored by.
_SCORED_POSES = 4096  # How many poses are filmed in a call, for scoring.


def level_poses(pairs: Pairs) -> np.ndarray:
  """Turns the targets of pairs upright, `[N, J, 3]`; see `cameras.level`."""
  ups = []
  for camera in pairs.camera_list:
    w, x, y, z = camera.orientation
    ups.append(turn_by((w, -x, -y, -z), np.array((0.0, 0.0, 1.0))))
  up = np.array(ups, np.float32)[pairs.cameras]
  return np.asarray(level(jnp.asarray(pairs.targets), jnp.asarray(up)))


def film(
  rng: Array,
  poses: Array,
  skeleton: Skeleton,
  model: ModelConfig,
  config: FilmingConfig,
) -> tuple[Array, Array]:
  """Films level poses, and makes of them inputs and targets.

  Args:
    rng: The random key.
    poses: The poses, `[B, 16, 3]`, metres, level frame, the root at the origin.
    skeleton: The skeleton of the poses, `H36M`.
    model: The settings that say what the input of the network is.
    config: The ranges of bodies, cameras and mistakes.

  Returns:
    The inputs, `[B, 16, C]`, and the targets, `[B, 16, 3]`, metres, in the
    frame that the network predicts in.
  """
  body_rng, view_rng, mark_rng, set_rng, detect_rng, known_rng = (
    jax.random.split(rng, 6)
  )
  poses = vary_bodies(body_rng, poses, skeleton, config)
  views = random_views(view_rng, poses, config)
  seen = rotate(views.rotation, poses)
  points = mark(mark_rng, seen, config)
  pixels = views.project(points + views.root[:, None])
  found = detect(detect_rng, pixels, views.image_size, config)
  table = jnp.asarray(source_table(model.input_joints, NAMES))
  joint_set = jax.random.randint(set_rng, (len(poses),), 0, len(table))
  keypoints = derive_joints(found, table[joint_set])
  # Whoever knows the focal length knows the principal point, too.
  known = jax.random.bernoulli(known_rng, config.known_focal, (len(poses),))
  inputs, rotation = make_inputs(
    keypoints,
    joint_set,
    views.image_size,
    jnp.where(known, views.focal, 0),
    jnp.where(known[:, None], views.center, views.image_size / 2),
    model,
  )
  return inputs, rotate(rotation, seen)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _film(rng, poses, skeleton, model, config):
  return film(rng, poses, skeleton, model, config)


def film_pairs(
  pairs: Pairs, skeleton: Skeleton, model: ModelConfig, config: FilmingConfig
) -> Pairs:
  """Films pairs once and for all, to score on, always by the same cameras."""
  poses = level_poses(pairs)
  plain = dataclasses.replace(
    config, mix_limbs=0.0, body_scale=0.0, bone_scale=0.0, limb_turn=0.0
  )
  size = min(_SCORED_POSES, len(poses))
  inputs, targets = [], []
  for start in range(0, len(poses), size):
    rng = jax.random.fold_in(jax.random.PRNGKey(_SCORED_SEED), start)
    rows = np.arange(start, start + size) % len(poses)
    part = _film(rng, poses[rows], skeleton, model, plain)
    for parts, array in zip((inputs, targets), part, strict=True):
      parts.append(np.asarray(array)[: len(poses) - start])
  return dataclasses.replace(
    pairs, inputs=np.concatenate(inputs), targets=np.concatenate(targets)
  )
