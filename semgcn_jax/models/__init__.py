"""Model families, one file each."""

import flax.linen as nn

from semgcn_jax.config import Config
from semgcn_jax.errors import choose
from semgcn_jax.models.semgcn import CONVOLUTIONS, SemGCN
from semgcn_jax.skeleton import Skeleton


def _semgcn(
  config: Config, skeleton: Skeleton, axis_name: str | None
) -> SemGCN:
  choose('conv', config.conv, CONVOLUTIONS)
  return SemGCN(
    skeleton=skeleton,
    hid_dim=config.hid_dim,
    num_layers=config.num_layers,
    conv=config.conv,
    non_local=config.non_local,
    dropout=config.dropout,
    axis_name=axis_name,
  )


MODELS = {'semgcn': _semgcn}


def build(
  config: Config, skeleton: Skeleton, axis_name: str | None = None
) -> nn.Module:
  """The model that the config names.

  Args:
    config: model fields.
    skeleton: joints of input and output.
    axis_name: pmap axis of the training statistics, None outside pmap.

  Raises:
    FlagError: unknown model or convolution.
  """
  return choose('model', config.model, MODELS)(config, skeleton, axis_name)
