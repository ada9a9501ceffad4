"""Model families, one file each."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.config import Config
from semgcn_jax.convolutions import CONVOLUTIONS, GraphAttention
from semgcn_jax.errors import FlagError, choose
from semgcn_jax.layers import BatchNorm
from semgcn_jax.models.linear import LinearModel
from semgcn_jax.models.pose_grammar import Refined
from semgcn_jax.models.semgcn import SemGCN
from semgcn_jax.models.st_gcn import STGCN
from semgcn_jax.skeleton import Skeleton


def _semgcn(config: Config, **fields: Any) -> SemGCN:
  choose('conv', config.conv, CONVOLUTIONS)
  if config.conv == 'gat' and config.hid_dim % GraphAttention.heads:
    raise FlagError(
      f'--hid_dim={config.hid_dim}: must be a multiple of the'
      f' {GraphAttention.heads} heads of --conv=gat'
    )
  return SemGCN(conv=config.conv, non_local=config.non_local, **fields)


def _linear(config: Config, **fields: Any) -> LinearModel:
  del config
  return LinearModel(**fields)


def _st_gcn(config: Config, **fields: Any) -> STGCN:
  del config
  return STGCN(**fields)


MODELS = {'semgcn': _semgcn, 'linear': _linear, 'st_gcn': _st_gcn}


def abstract_variables(config: Config, skeleton: Skeleton) -> dict[str, Any]:
  """Shapes and types of the params and batch_stats; of all seeds, stacked."""
  model = build(config, skeleton)
  example = jax.ShapeDtypeStruct((1, skeleton.num_joints, 2), jnp.float32)
  abstract = jax.eval_shape(model.init, jax.random.PRNGKey(0), example)
  if config.num_seeds == 1:
    return abstract
  return jax.tree.map(
    lambda x: x.update(shape=(config.num_seeds, *x.shape)), abstract
  )


def build(
  config: Config,
  skeleton: Skeleton,
  axis_name: str | None = None,
  dtype: Any = None,
  norm: Callable[..., nn.Module] = BatchNorm,
) -> nn.Module:
  """The model that the config names.

  Args:
    config: model fields.
    skeleton: joints of input and output.
    axis_name: pmap axis of the training statistics, None outside pmap.
    dtype: of the activations; None: as the input.
    norm: `BatchNorm`, or what stands for it.

  Raises:
    FlagError: unknown model, convolution or refinement; or sizes that do not
      go together.
  """
  if axis_name is not None:
    norm = functools.partial(norm, axis_name=axis_name, poses=config.norm_poses)
  model = choose('model', config.model, MODELS)(
    config,
    skeleton=skeleton,
    hid_dim=config.hid_dim,
    num_layers=config.num_layers,
    dropout=config.dropout,
    norm=norm,
    dtype=dtype,
  )
  if not config.refine:
    return model
  return Refined(model, skeleton, frozen=config.freeze_lifter)
