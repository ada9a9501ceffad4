"""Varies the bodies and the motions of poses."""

import jax
import jax.numpy as jnp

from semgcn_jax.config import FilmingConfig
from semgcn_jax.filming.rotations import about_vector, multiply, rotate
from semgcn_jax.skeleton import Skeleton

Array = jax.Array


def vary_bodies(
  rng: Array, poses: Array, skeleton: Skeleton, config: FilmingConfig
) -> Array:
  """Varies poses, bone by bone.

  The whole body gets taller or shorter (`body_scale`), each bone longer or
  shorter, the same left and right (`bone_scale`), and each limb and the head
  turns at every joint (`limb_turn`).

  Args:
    rng: The random key.
    poses: The poses, `[B, J, 3]`, metres, the root at the origin.
    skeleton: The skeleton of the poses.
    config: The ranges of the changes.

  Returns:
    The varied poses.
  """
  body_rng, bone_rng, turn_rng, some_rng = jax.random.split(rng, 4)
  count = len(poses)

  def factors(rng, size, most):
    random = jax.random.uniform(rng, (count, size), minval=-1, maxval=1)
    return jnp.exp(random * jnp.log1p(most))

  scale = factors(body_rng, 1, config.body_scale) * factors(
    bone_rng, skeleton.num_joints, config.bone_scale
  )
  for left, right in zip(skeleton.left, skeleton.right, strict=True):
    scale = scale.at[:, left].set(scale[:, right])
  # Half of the poses keep their motion as it was recorded.
  turned = jax.random.bernoulli(some_rng, shape=(count,))
  turns = jax.random.normal(turn_rng, (count, skeleton.num_joints, 3))
  turns = turns * (jnp.deg2rad(config.limb_turn) * turned[:, None, None])
  sides = {*skeleton.left, *skeleton.right}
  positions = {skeleton.root: poses[:, skeleton.root]}
  rotations = {skeleton.root: jnp.broadcast_to(jnp.eye(3), (count, 3, 3))}
  waiting = [(p, c) for p, c in skeleton.bones]
  while waiting:
    parent, child = waiting.pop(0)
    if parent not in positions:
      waiting.append((parent, child))
      continue
    rotation = rotations[parent]
    is_end = child not in skeleton.parents and child not in sides
    if config.limb_turn and (parent in sides or is_end):
      rotation = multiply(rotation, about_vector(turns[:, child]))
    rotations[child] = rotation
    bone = (poses[:, child] - poses[:, parent]) * scale[:, child, None]
    positions[child] = positions[parent] + rotate(rotation, bone[:, None])[:, 0]
  return jnp.stack(
    [positions[joint] for joint in range(skeleton.num_joints)], axis=1
  )
