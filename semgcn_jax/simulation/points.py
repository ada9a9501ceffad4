"""Places the keypoints of all joint sets on poses.

Keypoints are not skeleton joints: a detector's hip is offset from the recorded
joint, differently in every body, and the face has no joints at all.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import FilmingConfig
from semgcn_jax.geometry.joint_sets import LIMBS
from semgcn_jax.geometry.rotations import rotate
from semgcn_jax.geometry.skeletons import H36M

Array = jax.Array

FACE = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear')
# Offsets from the end of the head's bone, metres: to the body's left, up along
# the neck, and forward.
_IN_HEAD = {
  'nose': (0.0, -0.10, 0.10),
  'left_eye': (0.03, -0.07, 0.08),
  'right_eye': (-0.03, -0.07, 0.08),
  'left_ear': (0.07, -0.08, 0.0),
  'right_ear': (-0.07, -0.08, 0.0),
}
_TRUNK = ('neck', 'mid_hip', 'thorax', 'upper_neck', 'head_top')

# The names of all points: Human3.6M's joints, then the detectors' keypoints.
NAMES = (*H36M.joints, *LIMBS.values(), *FACE, *_TRUNK)
_JOINT_OF = {point: joint for joint, point in LIMBS.items()}
_JOINT_OF |= dict.fromkeys(FACE, 'Head')


def side_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
  """Pairs the indices of left and right points by name."""
  return tuple(
    (index, names.index(name.replace('left', 'right')))
    for index, name in enumerate(names)
    if name.startswith('left')
  )


# The indices (left, right) of paired points.
PAIRS = side_pairs(NAMES) + tuple(zip(H36M.left, H36M.right, strict=True))
# The point that replaces each in a mirror image, `[P]`.
MIRROR_ORDER = np.arange(len(NAMES))
for _pair in PAIRS:
  MIRROR_ORDER[list(_pair)] = _pair[::-1]


def joint_of(name: str) -> int:
  """Returns the index in `H36M` of the joint at a limb or face point."""
  return H36M.joints.index(_JOINT_OF[name])


def mark(rng: Array | None, poses: Array, config: FilmingConfig) -> Array:
  """Places the keypoints of all joint sets on poses.

  Offsets from the joints rotate with the upper body.

  Args:
    rng: The random key; None for no random offsets.
    poses: Poses of `H36M`, `[B, 16, 3]`, metres.
    config: The range of the offsets.

  Returns:
    The points, `[B, P, 3]`, in the order of `NAMES`.
  """
  count = len(poses)
  if rng is None:
    shares = jnp.full((count, 4, 1), 0.5)
    in_head = jnp.ones((count, 1, 1))
    offsets = jnp.zeros((count, len(NAMES), 3))
  else:
    share_rng, head_rng, off_rng, body_rng = jax.random.split(rng, 4)
    shares = jax.random.uniform(share_rng, (count, 4, 1))
    # Half of the poses have the face at the end of the head's bone, like files
    # whose keypoints were made from a skeleton.
    in_head = jax.random.uniform(head_rng, (count, 1, 1), minval=-1)
    in_head = jnp.maximum(in_head, 0)
    offsets = jax.random.normal(off_rng, (count, len(NAMES), 3))
    most = jax.random.uniform(body_rng, (count, 1, 1), minval=0.3, maxval=1.7)
    offsets = offsets * (config.mark_offset * most)

  def joint(name):
    return poses[:, H36M.joints.index(name)]

  def between(first, second, row, low, high):
    share = low + (high - low) * shares[:, row]
    return first + share * (second - first)

  # The body's axes: left, up along the neck, and forward.
  up = _unit(joint('Head') - joint('Thorax'))
  left = joint('LShoulder') - joint('RShoulder')
  left = _unit(left - jnp.sum(left * up, axis=-1, keepdims=True) * up)
  axes = jnp.stack([left, up, jnp.cross(left, up)], axis=-2)
  places = jnp.array([_IN_HEAD[name] for name in FACE])
  places = jnp.broadcast_to(places, (count, *places.shape))
  face = joint('Head')[:, None] + in_head * rotate(axes.swapaxes(1, 2), places)
  shoulders = (joint('LShoulder') + joint('RShoulder')) / 2
  hips = (joint('LHip') + joint('RHip')) / 2
  trunk = [
    between(shoulders, joint('Thorax'), 0, 0, 1),
    hips,
    between(joint('Spine'), joint('Thorax'), 1, 0.2, 1),
    between(joint('Thorax'), joint('Head'), 2, 0, 0.5),
    between(joint('Head'), joint('Thorax'), 3, -0.4, 0.1),
  ]
  limbs = poses[:, list(map(H36M.joints.index, LIMBS))]
  marked = jnp.concatenate([limbs, face, jnp.stack(trunk, axis=1)], axis=1)
  offsets = rotate(axes.swapaxes(1, 2), offsets)
  marked = marked + offsets[:, len(H36M.joints) :]
  return jnp.concatenate([poses, marked], axis=1)


def _unit(vectors: Array) -> Array:
  length = jnp.sqrt(jnp.sum(jnp.square(vectors), axis=-1, keepdims=True))
  return vectors / jnp.maximum(length, 1e-6)
