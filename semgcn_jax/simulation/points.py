"""Places the keypoints of all joint sets on poses.

Keypoints are not skeleton joints: a detector's hip is offset from the recorded
joint, differently in every body, and the face has no joints at all.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import FilmingConfig
from semgcn_jax.geometry.joint_sets import LIMBS, mirror_order
from semgcn_jax.geometry.rotations import rotate
from semgcn_jax.geometry.skeletons import H36M, Skeleton

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

_JOINT_OF = {point: joint for joint, point in LIMBS.items()}
_JOINT_OF |= dict.fromkeys(FACE, 'Head')


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
  """All points that keypoints of a skeleton can be.

  Attributes:
    names: Their names, `P`, of which the first J are the skeleton's joints.
    pairs: The indices (left, right) of paired points.
    hidden: Masks of points that are hidden together, `[G, P]`.
    lower: The mask of those that a table hides, `[P]`.
    joints: The index of the joint at each, `[P]`; None of people, whose points
      `mark` places.
  """

  names: tuple[str, ...]
  pairs: tuple[tuple[int, int], ...]
  hidden: np.ndarray
  lower: np.ndarray
  joints: np.ndarray | None = None

  @functools.cached_property
  def mirror_order(self) -> np.ndarray:
    """The point that replaces each in a mirror image, `[P]`."""
    order = np.arange(len(self.names))
    for pair in self.pairs:
      order[list(pair)] = pair[::-1]
    return order


def side_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
  """Pairs the indices of left and right points by name."""
  return tuple(
    (index, names.index(name.replace('left', 'right')))
    for index, name in enumerate(names)
    if name.startswith('left')
  )


def _points_of_people() -> Points:
  """Names Human3.6M's joints, then the detectors' keypoints."""
  names = (*H36M.joints, *LIMBS.values(), *FACE, *_TRUNK)

  def mask(*words):
    return np.array([any(word in name for word in words) for name in names])

  hidden = [
    mask('left_elbow', 'left_wrist', 'LElbow', 'LWrist'),
    mask('right_elbow', 'right_wrist', 'RElbow', 'RWrist'),
    mask('left_wrist', 'right_wrist', 'LWrist', 'RWrist'),
    mask('left_knee', 'left_ankle', 'LKnee', 'LAnkle'),
    mask('right_knee', 'right_ankle', 'RKnee', 'RAnkle'),
    mask('ankle', 'Ankle'),
    mask('ankle', 'Ankle', 'knee', 'Knee'),
    mask('nose', 'eye', 'ear', 'head', 'Head'),
    mask('left_eye', 'left_ear', 'nose'),
    mask('right_eye', 'right_ear', 'nose'),
  ]
  lower = mask(
    *('ankle', 'Ankle', 'knee', 'Knee', 'left_hip', 'right_hip', 'LHip'),
    *('RHip', 'mid_hip', 'Pelvis'),
  )
  pairs = side_pairs(names) + tuple(zip(H36M.left, H36M.right, strict=True))
  return Points(names, pairs, np.stack(hidden), lower)


OF_PEOPLE = _points_of_people()


@functools.cache
def points_of(skeleton: Skeleton) -> Points:
  """Returns the points of a skeleton: its joints, then other keypoints.

  Of skeletons other than `H36M`, each limb may be hidden: what is below one of
  several children of a joint.
  """
  if skeleton == H36M:
    return OF_PEOPLE
  names, joints = list(skeleton.joints), list(range(skeleton.num_joints))
  pairs = list(zip(skeleton.left, skeleton.right, strict=True))
  for own in skeleton.joint_sets:
    first = len(names)
    names += own.points
    for index in range(own.num_joints):
      given = [n for n, source in enumerate(own.sources) if index in source]
      # Of several, the one that depends on it most.
      nearest = min(given, key=lambda n: len(own.sources[n]), default=None)
      joints.append(skeleton.root if nearest is None else nearest)
    order = mirror_order(own, skeleton).tolist()
    pairs += [(first + n, first + m) for n, m in enumerate(order) if n < m]
  limbs = [np.isin(joints, limb) for limb in _limbs(skeleton)]
  return Points(
    names=tuple(names),
    pairs=tuple(pairs),
    hidden=np.stack(limbs),
    lower=np.zeros(len(joints), bool),
    joints=np.array(joints),
  )


def _limbs(skeleton: Skeleton) -> list[list[int]]:
  """Lists the joints of each limb, see `points_of`."""
  limbs = []
  for _, top in skeleton.bones:
    if skeleton.parents.count(skeleton.parents[top]) > 1:
      limb = [top]
      for joint in limb:  # It grows meanwhile.
        limb += [child for parent, child in skeleton.bones if parent == joint]
      limbs.append(limb)
  return limbs or [[skeleton.num_joints - 1]]


def joint_of(name: str) -> int:
  """Returns the index in `H36M` of the joint at a limb or face point."""
  return H36M.joints.index(_JOINT_OF[name])


def mark(
  rng: Array | None,
  poses: Array,
  config: FilmingConfig,
  points: Points = OF_PEOPLE,
) -> Array:
  """Places the keypoints of all joint sets on poses.

  Offsets from the joints of people rotate with the upper body.

  Args:
    rng: The random key; None for no random offsets.
    poses: Poses, `[B, J, 3]`, in the unit of the skeleton.
    config: The range of the offsets.
    points: The points of their skeleton.

  Returns:
    The points, `[B, P, 3]`.
  """
  if points.joints is None:
    return _mark_people(rng, poses, config)
  marked = poses[:, points.joints]
  if rng is None:
    return marked
  offsets = config.mark_offset * jax.random.normal(rng, marked.shape)
  return marked.at[:, poses.shape[1] :].add(offsets[:, poses.shape[1] :])


def _mark_people(
  rng: Array | None, poses: Array, config: FilmingConfig
) -> Array:
  """Does what `mark` does on poses of `H36M`, `[B, 16, 3]`, metres."""
  count = len(poses)
  if rng is None:
    shares = jnp.full((count, 4, 1), 0.5)
    in_head = jnp.ones((count, 1, 1))
    offsets = jnp.zeros((count, len(OF_PEOPLE.names), 3))
  else:
    share_rng, head_rng, off_rng, body_rng = jax.random.split(rng, 4)
    shares = jax.random.uniform(share_rng, (count, 4, 1))
    # Half of the poses have the face at the end of the head's bone, like files
    # whose keypoints were made from a skeleton.
    in_head = jax.random.uniform(head_rng, (count, 1, 1), minval=-1)
    in_head = jnp.maximum(in_head, 0)
    offsets = jax.random.normal(off_rng, (count, len(OF_PEOPLE.names), 3))
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
