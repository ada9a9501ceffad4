"""Turns the keypoints of any detector into the input of a network.

Keypoints `[..., 16, 3]` are x and y in pixels and a confidence, which is 0
where a joint was not found.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.geometry.rotations import rotate, to_axis
from semgcn_jax.geometry.skeletons import Skeleton

Array = jax.Array

# Other names of points, in some sets.
_SAME = {'pelvis': 'mid_hip', 'hip': 'mid_hip', 'head': 'head_top'}
HELD = 0.01  # The confidence of joints that are those of another frame.
MIN_JOINTS = 4  # A frame with fewer joints shows those of another.
_FARTHEST = 6.0  # Coordinates of the input are clipped to this.


def source_table(joint_sets: Sequence[str], names: Sequence[str]) -> np.ndarray:
  """Tabulates which points each of the 16 joints is the mean of.

  Args:
    joint_sets: Keys of `JOINT_SETS`.
    names: The names of all points.

  Returns:
    For each set and joint the indices of its points, `[S, 16, K]` int32; -1
    fills up.
  """
  sources = []
  for key in joint_sets:
    own = point_names(key)
    sources.append(
      [
        [names.index(own[index]) for index in joint]
        for joint in JOINT_SETS[key].sources
      ]
    )
  most = max(len(joint) for joints in sources for joint in joints)
  table = np.full((len(sources), 16, most), -1, np.int32)
  for row, joints in zip(table, sources, strict=True):
    for cells, joint in zip(row, joints, strict=True):
      cells[: len(joint)] = joint
  return table


def point_names(joint_set: str) -> list[str]:
  """Names the joints of a set, those of the same place alike in every set."""
  return [_SAME.get(name, name) for name in JOINT_SETS[joint_set].names]


def derive_joints(points: Array, sources: Array) -> Array:
  """Makes the 16 joints of what a detector has marked.

  A joint that several points stand for is the mean of those that were found.
  Its confidence is the mean over all of them, so that it is lower where some
  are missing.

  Args:
    points: Keypoints `[..., P, 3]`.
    sources: Indices of points, `[..., 16, K]`, or those of all poses,
      `[16, K]`; -1 fills up.

  Returns:
    Keypoints `[..., 16, 3]`.
  """
  if sources.ndim == 2:
    chosen = points[..., jnp.maximum(sources, 0), :]
  else:
    chosen = jnp.take_along_axis(
      points[..., None, :, :],
      jnp.maximum(sources, 0)[..., None],
      axis=-2,
    )
  named = sources >= 0
  confidence = jnp.where(named, chosen[..., 2], 0)
  found = confidence > 0
  count = jnp.maximum(found.sum(axis=-1), 1)
  xy = jnp.where(found[..., None], chosen[..., :2], 0).sum(axis=-2)
  xy = xy / count[..., None]
  confidence = confidence.sum(axis=-1) / named.sum(axis=-1)
  return jnp.concatenate([xy, confidence[..., None]], axis=-1)


def joints_of(keypoints: np.ndarray, joint_set: str) -> np.ndarray:
  """Makes the 16 joints of the keypoints of a joint set; see `derive_joints`.

  Args:
    keypoints: Keypoints `[N, J, 3]`.
    joint_set: The key of their set in `JOINT_SETS`.

  Returns:
    Keypoints `[N, 16, 3]`.
  """
  table = source_table([joint_set], point_names(joint_set))
  return np.asarray(derive_joints(jnp.asarray(keypoints), jnp.asarray(table)))


def filled(keypoints: Array) -> Array:
  """Puts joints that were not found where the others are, on average.

  Args:
    keypoints: Keypoints `[..., 16, 3]`.

  Returns:
    Pixels `[..., 16, 2]`, for a network that knows of no gaps.
  """
  found = keypoints[..., 2:] > 0
  count = jnp.maximum(found.sum(axis=-2, keepdims=True), 1)
  middle = (keypoints[..., :2] * found).sum(axis=-2, keepdims=True) / count
  return jnp.where(found, keypoints[..., :2], middle)


def make_inputs(
  keypoints: Array,
  joint_set: Array,
  image_size: Array,
  focal: Array,
  center: Array,
  config: ModelConfig,
) -> tuple[Array, Array]:
  """Makes the input of a network from keypoints.

  With `input_coordinates=ray` the camera is turned, in thought, to look at the
  middle of the person, and the person is scaled to a common size, so that the
  network sees the same wherever a person stands. The ray and the size are
  inputs of their own. With `screen` the coordinates are those of the image.

  Args:
    keypoints: Keypoints `[B, 16, 3]`.
    joint_set: The index of each pose's joint set in `input_joints`, `[B]`.
    image_size: Width and height of each image in pixels, `[B, 2]`.
    focal: Each focal length in pixels, `[B]`; 0 where it is not known.
    center: Each principal point in pixels, `[B, 2]`.
    config: The model's settings that say what its input is.

  Returns:
    The inputs, `[B, 16, C]`, and the rotations from the camera frame to the
    frame that the network predicts in, `[B, 3, 3]`.
  """
  found = keypoints[..., 2] > 0
  weight = found.astype(keypoints.dtype)[..., None]
  count = jnp.maximum(weight.sum(axis=-2), 1)
  known = focal > 0
  longer = image_size.max(axis=-1)
  assumed = longer / (2 * np.tan(np.radians(config.input_fov) / 2))
  focal = jnp.where(known, focal, assumed)
  plane = (keypoints[..., :2] - center[:, None]) / focal[:, None, None]
  plane = jnp.where(found[..., None], plane, 0)
  middle = plane.sum(axis=-2) / count
  ray = jnp.concatenate([middle, jnp.ones_like(count)], axis=-1)
  ray = ray / jnp.linalg.norm(ray, axis=-1, keepdims=True)
  rotation = to_axis(ray)
  rays = jnp.concatenate([plane, jnp.ones_like(weight)], axis=-1)
  turned = rotate(rotation, rays)
  xy = turned[..., :2] / jnp.maximum(turned[..., 2:], 0.1)
  xy = jnp.where(found[..., None], xy, 0)
  spread = jnp.linalg.norm(xy, axis=-1).sum(axis=-1) / count[:, 0]
  spread = jnp.maximum(spread, 1e-4)
  if config.input_coordinates == 'ray':
    xy = jnp.where(found[..., None], xy / spread[:, None, None], 0)
  else:
    rotation = jnp.broadcast_to(jnp.eye(3), rotation.shape)
    xy = 2 * plane
  xy = jnp.clip(xy, -_FARTHEST, _FARTHEST)
  confidence = keypoints[..., 2:]
  if not config.input_confidence:
    confidence = weight
  sets = jax.nn.one_hot(joint_set, len(config.input_joints))
  shared = jnp.concatenate(
    [
      jnp.clip(middle, -2, 2),
      jnp.log(spread)[:, None] + 2,
      known[:, None].astype(xy.dtype),
      sets,
    ],
    axis=-1,
  )
  shared = jnp.broadcast_to(shared[:, None], (*xy.shape[:2], shared.shape[-1]))
  return jnp.concatenate([xy, weight, confidence, shared], axis=-1), rotation


def hold_lost(keypoints: Array) -> Array:
  """Shows in frames with too few joints those of the last one with enough.

  Their confidence is then `HELD`, so that a network can tell. Before the first
  frame with enough, its joints are shown.

  Args:
    keypoints: Keypoints of clips, `[B, T, 16, 3]`.
  """
  enough = (keypoints[..., 2] > 0).sum(axis=-1) >= MIN_JOINTS
  numbers = jnp.arange(keypoints.shape[1])
  first = jnp.argmax(enough, axis=1, keepdims=True)
  last = jax.lax.cummax(jnp.where(enough, numbers, first), axis=1)
  shown = jnp.take_along_axis(keypoints, last[..., None, None], axis=1)
  confidence = jnp.where(
    enough[..., None] | (shown[..., 2] == 0), shown[..., 2], HELD
  )
  return shown.at[..., 2].set(confidence)


def mirror_inputs(inputs: Array, skeleton: Skeleton) -> Array:
  """Mirrors what `make_inputs` makes, `[..., 16, C]`, and swaps the sides."""
  sign = np.ones(inputs.shape[-1], np.float32)
  sign[[0, 4]] = -1  # The x of each joint, and of the ray.
  return inputs[..., skeleton.mirror_order, :] * sign
