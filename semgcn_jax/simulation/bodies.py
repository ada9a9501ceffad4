"""Augments the body proportions and motions of poses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import FilmingConfig
from semgcn_jax.geometry.rotations import (
  about_axis,
  about_vector,
  multiply,
  rotate,
)
from semgcn_jax.geometry.skeletons import Skeleton

Array = jax.Array

# The parts of a body: how much longer (fraction, least and most) detectors mark
# them than motion capture does, and the joints at the ends of their bones.
_PARTS: dict[str, tuple[Any, ...]] = {
  'trunk': (0.0, 0.3, 'Spine', 'Thorax'),
  'head': (-0.3, 0.1, 'Head'),
  'hips': (0.0, 0.4, 'Hip'),
  'shoulders': (-0.15, 0.1, 'Shoulder'),
  'thighs': (-0.1, 0.1, 'Knee'),
  'shanks': (-0.2, 0.0, 'Ankle'),
  'upper_arms': (-0.15, 0.1, 'Elbow'),
  'forearms': (-0.2, 0.0, 'Wrist'),
}


def vary_bodies(
  rng: Array, poses: Array, skeleton: Skeleton, config: FilmingConfig
) -> Array:
  """Augments poses, bone by bone.

  Limbs may come from another pose in the batch (`mix_limbs`). The whole body is
  scaled (`body_scale`), and so are its parts (`part_scale`,
  `detected_bodies`) and each bone (`bone_scale`), equally on both sides. The
  limbs and the head are rotated at every joint (`limb_turn`). Parts are those
  of people, and limbs are what has sides.

  Args:
    rng: The random key.
    poses: Poses `[B, J, 3]`, metres, root at the origin, level frame.
    skeleton: Their skeleton.
    config: The ranges of the changes.

  Returns:
    The augmented poses, `[B, J, 3]`.
  """
  mix_rng, body_rng, bone_rng, turn_rng, some_rng = jax.random.split(rng, 5)
  count = len(poses)
  bones = {c: poses[:, c] - poses[:, p] for p, c in skeleton.bones}
  if config.mix_limbs:
    bones = _mix(mix_rng, bones, skeleton, config.mix_limbs)

  def factors(rng, size, most):
    random = jax.random.uniform(rng, (count, size), minval=-1, maxval=1)
    return jnp.exp(random * jnp.log1p(most))

  scale = factors(body_rng, 1, config.body_scale) * factors(
    bone_rng, skeleton.num_joints, config.bone_scale
  )
  for left, right in zip(skeleton.left, skeleton.right, strict=True):
    scale = scale.at[:, left].set(scale[:, right])
  if config.part_scale or config.detected_bodies:
    part_rng = jax.random.fold_in(bone_rng, 1)
    scale = scale * _scale_parts(part_rng, count, skeleton, config)
  # Half of the poses keep their recorded motion.
  turned = jax.random.bernoulli(some_rng, shape=(count,))
  turns = jax.random.normal(turn_rng, (count, skeleton.num_joints, 3))
  turns = turns * (jnp.deg2rad(config.limb_turn) * turned[:, None, None])
  sides = {*skeleton.left, *skeleton.right}
  positions = {skeleton.root: jnp.zeros((count, 3))}
  rotations = {skeleton.root: jnp.broadcast_to(jnp.eye(3), (count, 3, 3))}
  for parent, child in downwards(skeleton):
    rotation = rotations[parent]
    is_end = bool(sides) and child not in {*skeleton.parents, *sides}
    if config.limb_turn and (parent in sides or is_end):
      rotation = multiply(rotation, about_vector(turns[:, child]))
    rotations[child] = rotation
    bone = bones[child] * scale[:, child, None]
    positions[child] = positions[parent] + rotate(rotation, bone[:, None])[:, 0]
  return jnp.stack(
    [positions[joint] for joint in range(skeleton.num_joints)], axis=1
  )


def _scale_parts(
  rng: Array, count: int, skeleton: Skeleton, config: FilmingConfig
) -> Array:
  """Draws the scale of the bone above each joint by its part, `[B, J]`."""
  part_rng, some_rng, detected_rng = jax.random.split(rng, 3)
  shape = (count, len(_PARTS))
  random = jax.random.uniform(part_rng, shape, minval=-1, maxval=1)
  scale = random * jnp.log1p(config.part_scale)
  low, high = np.log1p([own[:2] for own in _PARTS.values()]).T
  detected = jax.random.uniform(detected_rng, shape, minval=low, maxval=high)
  some = jax.random.bernoulli(some_rng, config.detected_bodies, (count, 1))
  scale = jnp.exp(scale + some * detected)
  parts = [_part_of(joint, skeleton) for joint in range(skeleton.num_joints)]
  return jnp.concatenate([scale, jnp.ones((count, 1))], axis=1)[:, parts]


def _part_of(joint: int, skeleton: Skeleton) -> int:
  """Returns the index in `_PARTS` of the bone above a joint, -1 for others."""
  name = skeleton.joints[joint]
  for part, (_, _, *ends) in enumerate(_PARTS.values()):
    if any(name.endswith(end) for end in ends):
      return part
  return -1


def downwards(skeleton: Skeleton) -> list[tuple[int, int]]:
  """Lists the bones (parent, child), parents first."""
  known, waiting, ordered = {skeleton.root}, list(skeleton.bones), []
  while waiting:
    ready = [bone for bone in waiting if bone[0] in known]
    ordered += ready
    known |= {child for _, child in ready}
    waiting = [bone for bone in waiting if bone not in ready]
  return ordered


def _mix(
  rng: Array, bones: dict[int, Array], skeleton: Skeleton, share: float
) -> dict[int, Array]:
  """Takes one limb, or both of a pair, from another pose in the batch.

  A pair is everything below a left and a right joint with the same parent. The
  other pose is rotated about the vertical so that its two joints point the same
  way; bone lengths stay.
  """
  mixed = dict(bones)
  tops = [
    (left, right)
    for left, right in zip(skeleton.left, skeleton.right, strict=True)
    if skeleton.parents[left] == skeleton.parents[right]
  ]
  count = len(bones[tops[0][0]]) if tops else 0
  for number, (left, right) in enumerate(tops):
    choose_rng, side_rng = jax.random.split(jax.random.fold_in(rng, number))
    across = bones[left] - bones[right]
    angle = jnp.arctan2(across[:, 2], across[:, 0])
    turn = about_axis(1, jnp.roll(angle, number + 1) - angle)
    chosen = jax.random.bernoulli(choose_rng, share, (count, 1))
    # 0: both limbs, 1: the left one, 2: the right one.
    which = jax.random.randint(side_rng, (count, 1), 0, 3)
    for top, other in ((left, 1), (right, 2)):
      below = [top]
      for parent, child in downwards(skeleton):
        if parent in below:
          below.append(child)
      for joint in below[1:]:
        own = bones[joint]
        taken = jnp.roll(own, number + 1, axis=0)[:, None]
        taken = rotate(turn, taken)[:, 0]
        length = jnp.linalg.norm(own, axis=-1, keepdims=True)
        there = jnp.linalg.norm(taken, axis=-1, keepdims=True)
        taken = taken * (length / jnp.maximum(there, 1e-6))
        mixed[joint] = jnp.where(chosen & (which != other), taken, own)
  return mixed
