"""The one way to run a network: a pure function of its variables and inputs."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.geometry.skeletons import Skeleton, mirror
from semgcn_jax.models.build import build
from semgcn_jax.models.folding import FoldedNorm
from semgcn_jax.models.image_network import mirror_found, mirror_images
from semgcn_jax.models.inputs import mirror_inputs
from semgcn_jax.models.layers import BatchNorm
from semgcn_jax.models.precision import matmul_precision
from semgcn_jax.models.root_relative import predict


def make_forward(
  config: ModelConfig,
  skeleton: Skeleton | Graph,
  *,
  flip_test: bool = False,
  folded: bool = False,
  precision: str = 'highest',
) -> Callable[..., jax.Array]:
  """Builds the function that predicts poses.

  Args:
    flip_test: Whether to average with the prediction for the mirrored input.
    folded: Whether the variables come from `folding.fold`.
    precision: A value of the setting `precision`, or for images of
      `backbone_precision`.

  Returns:
    A function (variables, inputs, length=None) -> predicted, see
    `predict_poses`.
  """
  is_half = precision == 'bfloat16' and not config.backbone
  model = build(
    config,
    skeleton,
    norm=FoldedNorm if folded else BatchNorm,
    dtype=jnp.bfloat16 if is_half else None,
    backbone_precision=precision,
  )

  def forward(variables, inputs, length=None):
    network = functools.partial(model.apply, variables, train=False)
    with matmul_precision(precision):
      if isinstance(skeleton, Graph):
        return predict_features(network, inputs, skeleton)
      return predict_poses(
        network, inputs, config, skeleton, flip_test=flip_test, length=length
      )

  return forward


def predict_features(
  network: Callable[..., Any], inputs: jax.Array, graph: Graph
) -> jax.Array:
  """Predicts features at the nodes of a graph, `[B, J, D]`, in their units.

  Args:
    network: The function of standardized inputs.
    inputs: The features of the nodes, `[B, J, C]`; not finite where
      missing, which counts as the mean.
  """
  inputs = graph.inputs.apply(inputs)
  inputs = jnp.where(jnp.isfinite(inputs), inputs, 0)
  return graph.targets.undo(network(inputs))


def predict_poses(
  network: Callable[..., Any],
  inputs: jax.Array,
  config: ModelConfig,
  skeleton: Skeleton,
  *,
  flip_test: bool = False,
  length: jax.Array | None = None,
) -> jax.Array:
  """Predicts poses with any network, with the root at the origin.

  Args:
    network: The function of the inputs.
    inputs: 2D joints, `[B, J, C]`; clips of them, `[B, T, J, C]`; or images,
      `[B, S, S, 3]`.
    flip_test: Whether to average with the prediction for the mirrored input.
    length: The number of frames before the padding of each clip, `[B]`.

  Returns:
    The poses, `[B, ..., J, 3]`, metres, followed by any other predictions: the
    expected error, `[B, ..., J, 4]`, see `root_relative.expected_error`; or for
    images the 2D joints, `[B, J, 5]`, normalized image.
  """
  run = functools.partial(
    predict, inputs=inputs, skeleton=skeleton, flip_test=flip_test
  )
  if config.takes == 'pictures':
    return run(
      lambda images: network(images).flat,
      mirror_inputs=lambda images, _: mirror_images(images),
      mirror_predicted=mirror_found,
    )
  mirror_joints = mirror_inputs if config.input_joints else mirror
  predicted = run(network, mirror_inputs=mirror_joints, length=length)
  if skeleton.unit == 1 or not config.input_joints:
    return predicted
  scale = np.ones(predicted.shape[-1], np.float32)
  scale[:3] = skeleton.unit
  return predicted * scale
