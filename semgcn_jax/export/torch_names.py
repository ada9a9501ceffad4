"""The names of tensors in the released code and in our variables."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from semgcn_jax.config import ModelConfig
from semgcn_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Entry:
  """A tensor of the released code, and its place in our variables.

  Attributes:
    torch: Its key in the state_dict.
    path: Its path in the variables, from 'params' or 'batch_stats'.
    transposed: Whether PyTorch stores it as [out, in], like linear maps.
    before: The number of leading dimensions of size one in PyTorch.
    after: The number of trailing ones, for linear maps that are convolutions.
  """

  torch: str
  path: tuple[str, ...]
  transposed: bool = False
  before: int = 0
  after: int = 0

  def torch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape in PyTorch of a variable of this shape."""
    shape = shape[::-1] if self.transposed else shape
    return (1,) * self.before + shape + (1,) * self.after

  def to_torch(self, x: np.ndarray) -> np.ndarray:
    """Converts a variable to PyTorch's layout."""
    shape = self.torch_shape(x.shape)
    return np.ascontiguousarray((x.T if self.transposed else x).reshape(shape))

  def to_ours(self, x: np.ndarray) -> np.ndarray:
    """Converts a tensor to our layout; the inverse of `to_torch`."""
    x = x.reshape(x.shape[self.before : x.ndim - self.after])
    return np.ascontiguousarray(x.T if self.transposed else x)

  @property
  def is_param(self) -> bool:
    """Whether it is trained, unlike batch statistics."""
    return self.path[0] == 'params'


def entries(config: ModelConfig) -> list[Entry]:
  """Lists the tensors of a released model, in the order of its state_dict."""
  return {'semgcn': _semgcn, 'linear': _linear}[config.model](config)


def _norm(torch: str, *path: str) -> list[Entry]:
  """Lists the tensors of a batch norm; `torch` is the prefix of their keys."""
  return [
    Entry(f'{torch}.weight', ('params', *path, 'scale')),
    Entry(f'{torch}.bias', ('params', *path, 'bias')),
    Entry(f'{torch}.running_mean', ('batch_stats', *path, 'mean')),
    Entry(f'{torch}.running_var', ('batch_stats', *path, 'var')),
  ]


def _dense(torch: str, *path: str, after: int = 0) -> list[Entry]:
  """Lists the tensors of a linear map; `torch` is the prefix of their keys."""
  path = ('params', *path)
  return [
    Entry(f'{torch}.weight', (*path, 'kernel'), transposed=True, after=after),
    Entry(f'{torch}.bias', (*path, 'bias')),
  ]


def _semgcn(config: ModelConfig) -> list[Entry]:
  """Lists the tensors of SemGCN."""
  one = 0 if config.conv == 'channel_wise' else 1

  def conv(torch, *path):
    return [
      Entry(f'{torch}.W', ('params', *path, 'kernel')),
      Entry(f'{torch}.e', ('params', *path, 'edge_logits'), before=one),
      Entry(f'{torch}.bias', ('params', *path, 'bias')),
    ]

  def block(torch, *path):
    return [
      *conv(f'{torch}.gconv', *path, 'conv'),
      *_norm(f'{torch}.bn', *path, 'norm'),
    ]

  def non_local(torch, name):
    if not config.non_local:
      return []
    torch = f'{torch}.nonlocal'
    project, affinity = f'{torch}.concat_project.0.weight', (name, 'affinity')
    return [
      *_dense(f'{torch}.g.0', name, 'g', after=1),
      *_dense(f'{torch}.theta', name, 'theta', after=1),
      *_dense(f'{torch}.phi.0', name, 'phi', after=1),
      Entry(project, ('params', *affinity), before=1, after=2),
      *_dense(f'{torch}.W.0', name, 'out', after=1),
      *_norm(f'{torch}.W.1', name, 'norm'),
    ]

  result = block('gconv_input.0', 'input')
  result += non_local('gconv_input.1', 'input_non_local')
  every = 2 if config.non_local else 1
  for i in range(config.num_layers):
    for k in (1, 2):
      torch = f'gconv_layers.{every * i}.gconv{k}'
      result += block(torch, f'residual{i}', f'block{k}')
    name = f'residual{i}_non_local'
    result += non_local(f'gconv_layers.{2 * i + 1}', name)
  return result + conv('gconv_output', 'output')


def _linear(config: ModelConfig) -> list[Entry]:
  """Lists the tensors of the fully connected network."""

  def block(prefix, k, name):
    return [
      *_dense(f'{prefix}w{k}', name, 'linear'),
      *_norm(f'{prefix}batch_norm{k}', name, 'norm'),
    ]

  result = block('', 1, 'input')
  for i in range(config.num_layers):
    for k in (1, 2):
      result += block(f'linear_stages.{i}.', k, f'stage{i}_block{k}')
  return result + _dense('w2', 'output')


def infer_model(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Infers the model's settings from a state_dict.

  Returns:
    {setting: value}, such as the model and its width.

  Raises:
    UserError: The released code has no such model.
  """

  def count(pattern):
    return len([key for key in state_dict if re.fullmatch(pattern, key)])

  if 'gconv_input.0.gconv.W' in state_dict:
    # Shared logits have one row; channel-wise logits have one per output
    # coordinate.
    rows = state_dict.get('gconv_output.e', np.zeros((1, 0))).shape[:1]
    fields = {
      'model': 'semgcn',
      'hid_dim': _last(state_dict['gconv_input.0.gconv.W']),
      'num_layers': count(r'gconv_layers\.\d+\.gconv1\.gconv\.W'),
      'non_local': any('.nonlocal.' in key for key in state_dict),
      'conv': 'semantic' if rows == (1,) else 'channel_wise',
    }
    return _bounded(fields)
  if 'w1.weight' in state_dict:
    fields = {
      'model': 'linear',
      'hid_dim': _last(state_dict['w1.weight'].T),
      'num_layers': count(r'linear_stages\.\d+\.w1\.weight'),
    }
    return _bounded(fields)
  raise UserError(
    'neither SemGCN (key gconv_input.0.gconv.W) nor the fully connected model'
    ' (key w1.weight); give a checkpoint of the released code'
  )


def _last(x: np.ndarray) -> int:
  """Returns the last dimension of an array; 0 for a scalar."""
  return x.shape[-1] if x.ndim else 0


def _bounded(fields: dict[str, Any]) -> dict[str, Any]:
  """Refuses sizes that only a damaged or forged file would claim."""
  if not (0 < fields['hid_dim'] <= 2**14 and fields['num_layers'] <= 256):
    raise UserError(
      f'a model of width {fields["hid_dim"]} with {fields["num_layers"]} blocks'
      ' is outside the range of the released models'
    )
  return fields
