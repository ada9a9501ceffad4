"""Turns the keypoints of any detector into the input of a network.

Keypoints `[..., 16, 3]` are x and y in pixels and a confidence, which is 0 for
missing joints.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.joint_sets import MIN_KEYPOINTS, mean_of_found
from semgcn_jax.geometry.rotations import rotate, to_axis
from semgcn_jax.geometry.skeletons import Skeleton

Array = jax.Array

HELD = 0.01  # The confidence of joints copied from another frame.
_FARTHEST = 6.0  # The limit that input coordinates are clipped to.


def filled(keypoints: Array) -> Array:
  """Puts missing joints at the mean of the others.

  Args:
    keypoints: Keypoints `[..., 16, 3]`.

  Returns:
    Pixels `[..., 16, 2]`, for a network that cannot handle gaps.
  """
  xy, found = keypoints[..., :2], keypoints[..., 2] > 0
  middle = mean_of_found(xy, found)[..., None, :]
  return jnp.where(found[..., None], xy, middle)


def make_inputs(
  keypoints: Array,
  joint_set: Array,
  image_size: Array,
  focal: Array,
  center: Array,
  config: ModelConfig,
) -> tuple[Array, Array]:
  """Makes the input of a network from keypoints.

  With `input_coordinates=ray` a virtual camera looks at the middle of the
  person, who is scaled to a common size, so the network sees the same wherever
  the person is. The ray and the size are separate inputs. With `screen` the
  coordinates are those of the image.

  Args:
    keypoints: Keypoints `[B, 16, 3]`.
    joint_set: The index of each pose's joint set in `input_joints`, `[B]`.
    image_size: Width and height of each image in pixels, `[B, 2]`.
    focal: Each focal length in pixels, `[B]`; 0 if unknown.
    center: Each principal point in pixels, `[B, 2]`.

  Returns:
    The inputs, `[B, 16, C]`, and the rotations from the camera frame to the
    frame that the network predicts in, `[B, 3, 3]`.
  """
  found = keypoints[..., 2] > 0
  weight = found.astype(keypoints.dtype)[..., None]
  known = focal > 0
  longer = image_size.max(axis=-1)
  assumed = longer / (2 * np.tan(np.radians(config.input_fov) / 2))
  focal = jnp.where(known, focal, assumed)
  plane = (keypoints[..., :2] - center[:, None]) / focal[:, None, None]
  plane = jnp.where(found[..., None], plane, 0)
  middle = mean_of_found(plane, found)
  ray = _homogeneous(middle)
  ray = ray / jnp.linalg.norm(ray, axis=-1, keepdims=True)
  rotation = to_axis(ray)
  turned = rotate(rotation, _homogeneous(plane))
  xy = turned[..., :2] / jnp.maximum(turned[..., 2:], 0.1)
  xy = jnp.where(found[..., None], xy, 0)
  lengths = jnp.linalg.norm(xy, axis=-1, keepdims=True)
  spread = jnp.maximum(mean_of_found(lengths, found), 1e-4)
  if config.input_coordinates == 'ray':
    xy = jnp.where(found[..., None], xy / spread[:, None], 0)
  else:
    rotation = jnp.broadcast_to(jnp.eye(3), rotation.shape)
    xy = 2 * plane
  xy = jnp.clip(xy, -_FARTHEST, _FARTHEST)
  confidence = keypoints[..., 2:] if config.input_confidence else weight
  shared = [
    jnp.clip(middle, -2, 2),
    jnp.log(spread) + 2,
    known[:, None].astype(xy.dtype),
    jax.nn.one_hot(joint_set, len(config.input_joints)),
  ]
  shared = jnp.concatenate(shared, axis=-1)[:, None]
  shared = jnp.broadcast_to(shared, (*xy.shape[:2], shared.shape[-1]))
  return jnp.concatenate([xy, weight, confidence, shared], axis=-1), rotation


def _homogeneous(xy: Array) -> Array:
  """Appends a coordinate 1, `[..., 2]` -> `[..., 3]`."""
  return jnp.concatenate([xy, jnp.ones_like(xy[..., :1])], axis=-1)


def shows_enough(keypoints: Any) -> Any:
  """Masks the frames of keypoints, `[..., 16, 3]`, with enough of a person.

  A network that sees time gets other frames in place of the rest.
  """
  return (keypoints[..., 2] > 0).sum(axis=-1) >= MIN_KEYPOINTS


def hold_lost(points: Any, enough: Any) -> Any:
  """Replaces frames without enough points by the last one with enough.

  Before the first frame with enough, its points are used.

  Args:
    points: The points of clips, `[..., T, P, 3]`, in NumPy or JAX.
    enough: The mask of frames with enough, `[..., T]`; see `shows_enough`.
  """
  xp = points.__array_namespace__()
  first = xp.argmax(enough, axis=-1, keepdims=True)
  rows = xp.where(enough, xp.arange(enough.shape[-1]), first)
  if xp is np:
    last = np.maximum.accumulate(rows, axis=-1)
  else:
    # jnp.maximum.accumulate would loop over the frames; ONNX takes floats only.
    last = jax.lax.cummax(rows.astype(np.float32), axis=rows.ndim - 1)
    last = last.astype(rows.dtype)
  shown = xp.take_along_axis(points, last[..., None, None], axis=-3)
  return xp.where(enough[..., None, None], shown, held(shown))


def held(points: Any) -> Any:
  """Marks points, `[..., P, 3]`, as copied, with the confidence `HELD`."""
  xp = points.__array_namespace__()
  confidence = xp.where(points[..., 2:] > 0, HELD, 0)
  return xp.concatenate(
    [points[..., :2], confidence.astype(points.dtype)], axis=-1
  )


def mirror_inputs(inputs: Array, skeleton: Skeleton) -> Array:
  """Mirrors the result of `make_inputs`, `[..., 16, C]`."""
  sign = np.ones(inputs.shape[-1], np.float32)
  sign[[0, 4]] = -1  # The x of each joint, and of the ray.
  return inputs[..., skeleton.mirror_order, :] * sign
