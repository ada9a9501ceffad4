"""Builds the model that a config names, and describes its variables."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.heatmaps import HeatmapHead
from semgcn_jax.models.image_network import ImageNetwork
from semgcn_jax.models.layers import BatchNorm, PoseNetwork
from semgcn_jax.models.linear import LinearModel
from semgcn_jax.models.pose_grammar import Refined
from semgcn_jax.models.resnet import make_resnet
from semgcn_jax.models.semgcn import SemGCN
from semgcn_jax.models.st_gcn import STGCN
from semgcn_jax.models.temporal import TemporalAttention, reaches


def build(
  config: ModelConfig,
  skeleton: Skeleton | Graph,
  axis_name: str | None = None,
  dtype: Any = None,
  norm: Callable[..., nn.Module] = BatchNorm,
  *,
  stage: str = 'end_to_end',
  backbone_precision: str = 'highest',
  streaming: bool = False,
) -> Any:
  """Builds a model.

  Args:
    axis_name: The pmap axis over which training statistics are shared; None
      outside pmap.
    dtype: The type of the activations; None takes that of the input.
    norm: Makes the batch norms.
    stage: The setting `stage`, for a network with a backbone.
    backbone_precision: The setting `backbone_precision`.
    streaming: Whether a causal network gets the frames of clips one by one,
      `[..., 1, J, C]`, with its state in the collection `cache`.

  Returns:
    A module that maps joints `[..., J, 2]` (normalized screen), or the
    `[..., J, C]` of `models.inputs`, to `[..., J, 3]` (metres); for a `Graph`,
    standardized features `[..., J, C]` to `[..., J, D]`. With
    `expected_error` to `[..., J, 4]`, see `root_relative`. With `backbone` it
    takes images, see `image_network.ImageNetwork`; `semgcn_temporal` takes
    clips, `[..., T, J, C]`.

  Raises:
    SettingError: The refinement needs a skeleton with a left and a right side.
  """
  plain_norm = norm
  if axis_name is not None:
    plain_norm = functools.partial(norm, axis_name=axis_name)
    norm = functools.partial(norm, axis_name=axis_name, poses=config.norm_poses)
  fields: dict[str, Any] = {
    'graph': skeleton,
    'hid_dim': config.hid_dim,
    'num_layers': config.num_layers,
    'dropout': config.dropout,
    'out_dim': 4 if config.expected_error else 3,
    'norm': norm,
    'dtype': dtype,
  }
  if isinstance(skeleton, Graph):
    fields['out_dim'] = len(skeleton.targets.mean)
    return _of_joints(config, fields, streaming)
  model = _of_joints(config, fields, streaming)
  if config.backbone:
    precision = backbone_precision
    return _of_pictures(config, skeleton, model, plain_norm, stage, precision)
  if not config.refine:
    return model
  skeleton.require_sides(f'refine={config.refine}')
  return Refined(model, skeleton, frozen=config.freeze_init)


def _of_joints(
  config: ModelConfig, fields: dict[str, Any], streaming: bool
) -> PoseNetwork:
  """Builds the network that lifts 2D joints; see `build`."""
  if config.model == 'linear':
    return LinearModel(**fields)
  if config.model == 'st_gcn':
    return STGCN(**fields)
  return SemGCN(
    conv=config.conv,
    non_local=config.non_local,
    time=_make_time(config, streaming) if config.is_temporal else None,
    **fields,
  )


def _of_pictures(
  config: ModelConfig,
  skeleton: Skeleton,
  model: PoseNetwork,
  norm: Callable[..., nn.Module],
  stage: str,
  precision: str,
) -> ImageNetwork:
  """Builds the network that finds 2D joints in images for a model to lift."""
  exact = precision != 'bfloat16'
  fields = {'norm': norm, 'dtype': None if exact else jnp.bfloat16}
  return ImageNetwork(
    skeleton,
    make_resnet(config.backbone, **fields),
    HeatmapHead(
      skeleton.num_joints,
      features=32 if config.backbone == 'tiny' else 256,
      num_deconvs=1 if config.backbone == 'tiny' else 3,
      **fields,
    ),
    model,
    pooled=config.pooled_features,
    stage=stage,
    precision=precision,
  )


def _make_time(
  config: ModelConfig, streaming: bool
) -> Callable[..., nn.Module]:
  """Returns a function that makes a temporal layer of a number and a name."""
  frames = reaches(config.receptive_field, config.num_layers + 1)
  return lambda number, name: TemporalAttention(
    frames[number], config.causal, streaming, name=name
  )


def example_input(
  config: ModelConfig, skeleton: Skeleton | Graph
) -> jax.ShapeDtypeStruct:
  """Returns the shape of the smallest batch that a model takes."""
  if isinstance(skeleton, Graph):
    shape = (1, skeleton.num_nodes, len(skeleton.inputs.mean))
    return jax.ShapeDtypeStruct(shape, jnp.float32)
  shape = (1, skeleton.num_joints, config.input_channels)
  if config.is_temporal:
    shape = (1, *shape)
  if config.backbone:
    shape = (1, 32, 32, 3)
  return jax.ShapeDtypeStruct(shape, jnp.float32)


@functools.cache
def abstract_variables(
  config: ModelConfig, skeleton: Skeleton | Graph, num_seeds: int = 1
) -> dict[str, Any]:
  """Returns the shapes and types of a model's params and batch_stats.

  The variables of R seeds, R > 1, are stacked: `[R, ...]`. The tree is cached,
  so do not modify it.
  """
  model = build(config, skeleton)
  example = example_input(config, skeleton)
  abstract = jax.eval_shape(model.init, jax.random.PRNGKey(0), example)
  if num_seeds == 1:
    return abstract
  return jax.tree.map(lambda x: x.update(shape=(num_seeds, *x.shape)), abstract)


def count_parameters(config: ModelConfig, skeleton: Skeleton | Graph) -> int:
  """Counts the parameters of a model of one seed."""
  params = abstract_variables(config, skeleton)['params']
  return sum(leaf.size for leaf in jax.tree.leaves(params))
