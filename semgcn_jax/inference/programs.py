"""Builds the pure functions that lift keypoints, to compile or export."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.joint_sets import (
  derive_joints,
  joint_sets_of,
  source_table,
)
from semgcn_jax.geometry.rotations import rotate
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.inference.bounds import bound
from semgcn_jax.models.build import build
from semgcn_jax.models.folding import FoldedNorm, fold
from semgcn_jax.models.forward import predict_poses
from semgcn_jax.models.inputs import filled, make_inputs
from semgcn_jax.models.root_relative import expected_error
from semgcn_jax.simulation.points import points_of


def joint_sets(
  model: ModelConfig, skeleton: Skeleton = H36M
) -> tuple[str, ...]:
  """Lists the joint sets that a network lifts."""
  known, every = model.input_joints, joint_sets_of(skeleton)
  if not known:
    return tuple(every)
  others = (name for name, own in every.items() if own.same_as in known)
  return (*known, *others)


def input_index(
  model: ModelConfig, joint_set: str, skeleton: Skeleton = H36M
) -> int:
  """Finds the index of a joint set, or of its equivalent, in `input_joints`."""
  same_as = joint_sets_of(skeleton)[joint_set].same_as
  return model.input_joints.index(same_as or joint_set)


def make_program(
  network: Callable[..., jax.Array],
  model: ModelConfig,
  skeleton: Skeleton = H36M,
) -> Callable[..., tuple[jax.Array, jax.Array]]:
  """Builds the function that lifts a batch of points of any joint sets.

  It is that of `make_lift`, except that it takes all points of the skeleton,
  `[B, P, 3]`, see `points_of`, and the indices of their joint sets in
  `joint_sets`, `[B]`.
  """
  names, every = joint_sets(model, skeleton), joint_sets_of(skeleton)
  table = source_table([every[n] for n in names], points_of(skeleton).names)
  numbers = [
    input_index(model, name, skeleton) for name in names if model.input_joints
  ]
  lift = make_lift(network, model, skeleton)

  # Callers may have chosen stricter rules for their own code.
  @jax.numpy_dtype_promotion('standard')
  def program(points, joint_set, image_size, focal, center, *length):
    keypoints = derive_joints(points, jnp.asarray(table)[joint_set])
    if model.input_joints:
      joint_set = jnp.array(numbers)[joint_set]
    return lift(keypoints, joint_set, image_size, focal, center, *length)

  return program


def make_lift(
  network: Callable[..., jax.Array],
  model: ModelConfig,
  skeleton: Skeleton = H36M,
) -> Callable[..., tuple[jax.Array, jax.Array]]:
  """Builds the pure function that lifts a batch of a skeleton's keypoints.

  It takes the arguments of `models.inputs.make_inputs` (keypoints, joint sets,
  image sizes, focal lengths and principal points), and returns poses,
  `[B, J, 3]`, and errors, `[B, J]`, both in metres. If the network sees time,
  it takes clips, `[B, T, ...]`, and their lengths, `[B]`.

  Args:
    network: The function of the inputs, see `networks.trained_function`.
  """
  joints = skeleton.num_joints
  # Only of people is it known what a body can be.
  within = bound if skeleton == H36M else jnp.nan_to_num
  scale = model.error_scale * skeleton.unit

  def lift(keypoints, joint_set, image_size, focal, center, length=None):
    leading = keypoints.shape[:-2]

    def flat(array):
      return array.reshape(-1, *array.shape[len(leading) :])

    image_size = flat(image_size)
    with jax.default_matmul_precision('highest'):
      if model.input_joints:
        inputs, rotation = make_inputs(
          *(flat(keypoints), flat(joint_set), image_size),
          *(flat(focal), flat(center), model),
        )
      else:
        half = image_size[:, None, :1] / 2
        inputs = (filled(flat(keypoints)) - image_size[:, None] / 2) / half
        rotation = None
      predicted = network(inputs.reshape(*leading, *inputs.shape[1:]), length)
      poses = flat(predicted[..., :3])
      if rotation is not None:
        poses = rotate(rotation.swapaxes(1, 2), poses)
      errors = (
        scale * expected_error(predicted)
        if model.expected_error
        else jnp.full((*leading, joints), jnp.nan)
      )
      return within(poses).reshape(*leading, joints, 3), errors

  return lift


def make_stream_program(
  model: ModelConfig,
  variables: dict[str, Any],
  skeleton: Skeleton = H36M,
  *,
  flip_test: bool,
) -> tuple[Callable[..., Any], Any]:
  """Builds the function that lifts the next frame of a stream.

  Args:
    model: The settings of the network, which is causal.
    flip_test: Whether to average with the prediction for the mirrored input.

  Returns:
    A function of a cache and the arguments of `make_program` for one frame,
    `[1, 1, ...]`, which returns the next cache, the pose, `[1, 1, J, 3]`, and
    its errors, `[1, 1, J]`; and the initial cache.
  """
  module = build(
    model, skeleton, norm=FoldedNorm, dtype=jnp.float32, streaming=True
  )
  params = jax.device_get(fold(variables))
  clips = 2 if flip_test else 1  # The mirrored one is cached, too.
  shape = (clips, 1, skeleton.num_joints, model.input_channels)
  with jax.numpy_dtype_promotion('standard'):
    cache = jax.eval_shape(module.init, jax.random.PRNGKey(0), jnp.zeros(shape))
  cache = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), cache['cache'])

  def advance(cache, *arrays):
    after = {}

    def keep(inputs):
      predicted, updated = module.apply(
        params | {'cache': cache}, inputs, mutable=['cache']
      )
      after.update(updated['cache'])
      return predicted

    def network(inputs, length):
      return predict_poses(
        keep, inputs, model, skeleton, flip_test=flip_test, length=length
      )

    poses, errors = make_program(network, model, skeleton)(*arrays)
    return after, poses, errors

  return advance, cache
