"""Reads the weights of a ResNet in torchvision's format.

Torch and safetensors are imported only when a file is read.
"""

import functools
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from semgcn_jax.errors import UserError, choose, shortened
from semgcn_jax.export import torch_files
from semgcn_jax.files import open_plain
from semgcn_jax.models.resnet import BACKBONES, make_resnet

# Tensors that are not needed: the classifier, and the number of updates of a
# norm's statistics.
_IGNORED = re.compile(r'fc\..*|.*\.num_batches_tracked')
_BLOCK = re.compile(r'layer(\d{1,4})\.(\d{1,4})\.')
# PyTorch's names for the tensors of convolutions and norms.
_TENSORS = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def read_backbone(path: pathlib.Path, name: str) -> dict[str, Any]:
  """Reads the weights of a ResNet, without running code from the file.

  The keys are torchvision's. They may have a prefix such as `module.` or
  `backbone.`; keys without it are ignored, as they belong to other parts of a
  larger network. The classifier (`fc`) is always ignored.

  Args:
    path: A .safetensors file, or any other name for one from `torch.save`.
    name: The network, a key of `BACKBONES`.

  Returns:
    The params and batch_stats of `make_resnet(name)`, float32.

  Raises:
    SettingError: There is no such network.
    UserError: The file is missing, damaged or of another network, or the
      package that reads it is not installed.
  """
  choose('backbone', name, BACKBONES)
  state_dict = _own_tensors(_read_tensors(path))
  found = _network_of(state_dict)
  if not found:
    raise UserError(
      f'{path}: holds no ResNet, which would have conv1.weight and layer1; give'
      f' the weights of {name}'
    )
  if found != name:
    raise UserError(
      f'{path}: holds {found}, not {name}; give `backbone` the network of the'
      ' file, or `backbone_weights` another file'
    )
  variables = {}
  for names, shape in _shapes(name).items():
    key = _torch_key(names)
    if key not in state_dict:
      raise UserError(f'{path}: lacks {key} of {name}; give its whole weights')
    variables[names] = _to_ours(path, key, state_dict.pop(key), shape)
  if state_dict:
    extra = shortened(min(state_dict), 80)
    raise UserError(
      f'{path}: holds {extra}, which {name} does not have; give the weights of'
      f' {name} alone'
    )
  return unflatten_dict(variables)


def _read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads all tensors of a file."""
  load = _load_safetensors if path.suffix == '.safetensors' else _load_torch
  with torch_files.naming_damage(
    path,
    'give `backbone_weights` a file of weights',
    'not a file of weights; give `backbone_weights` a .pth or .safetensors of'
    ' torchvision',
  ):
    return load(path)


def _load_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Loads a state_dict, or a checkpoint that contains one."""
  loaded = torch_files.load(path)
  tensors = dict(loaded.get('state_dict', loaded))
  for key, x in tensors.items():
    if not isinstance(key, str) or not isinstance(x, np.ndarray):
      raise TypeError('not tensors')
  return tensors


def _load_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Loads a .safetensors file."""
  try:
    import safetensors.numpy  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise UserError(
      'safetensors is not installed; pip install -e ".[image]"'
    ) from error
  open_plain(path).close()  # It would also read pipes and devices.
  return safetensors.numpy.load_file(path)


def _own_tensors(state_dict: Mapping[str, Any]) -> dict[str, Any]:
  """Selects the ResNet's tensors, and removes the prefix from their keys.

  The prefix is that of the first convolution: names without digits.
  """
  stem = re.compile(r'((?:[A-Za-z_]+\.)*)conv1\.weight')
  stems = [match for match in map(stem.fullmatch, state_dict) if match]
  prefix = min((match[1] for match in stems), key=len, default='')
  named = {
    key.removeprefix(prefix): value
    for key, value in state_dict.items()
    if key.startswith(prefix)
  }
  return {k: v for k, v in named.items() if not _IGNORED.fullmatch(k)}


def _network_of(state_dict: Mapping[str, np.ndarray]) -> str:
  """Recognizes a network by its tensors.

  Returns:
    A key of `BACKBONES`, a description of another ResNet, or ''.
  """
  blocks = {m.groups() for m in map(_BLOCK.match, state_dict) if m}
  first = state_dict.get('conv1.weight')
  if first is None or not first.ndim or not blocks:
    return ''
  stages = sorted({int(stage) for stage, _ in blocks})
  fields = {
    'stage_sizes': tuple(
      sum(int(stage) == one for stage, _ in blocks) for one in stages
    ),
    'width': first.shape[0],
    'bottleneck': any('.conv3.' in key for key in state_dict),
  }
  for name, of_name in BACKBONES.items():
    if all(of_name[field] == value for field, value in fields.items()):
      return name
  sizes = shortened(', '.join(map(str, fields['stage_sizes'])))
  kind = 'bottlenecks' if fields['bottleneck'] else 'basic blocks'
  return f'a ResNet of {sizes} {kind} and the width {fields["width"]}'


@functools.cache
def _shapes(name: str) -> dict[tuple[str, ...], tuple[int, ...]]:
  """Lists the variables of a network, {path: shape}."""
  images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  abstract = jax.eval_shape(
    make_resnet(name).init, jax.random.PRNGKey(0), images
  )
  flat: Any = flatten_dict(abstract)
  return {names: leaf.shape for names, leaf in flat.items()}


def _torch_key(names: tuple[str, ...]) -> str:
  """Returns the key of a variable, such as layer1.0.bn2.running_mean."""
  *blocks, conv, layer, tensor = names[1:]
  number = conv.removeprefix('conv')
  own = {'conv': f'conv{number}', 'norm': f'bn{number}'}
  if conv == 'skip':
    own = {'conv': 'downsample.0', 'norm': 'downsample.1'}
  block = re.sub(r'stage(\d+)_block(\d+)', r'layer\1.\2', '.'.join(blocks))
  return '.'.join(filter(None, (block, own[layer], _TENSORS[tensor])))


def _to_ours(
  path: pathlib.Path, key: str, x: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
  """Checks a tensor, and converts it to our variable of this shape."""
  # PyTorch stores kernels as [out, in, height, width].
  torch_shape = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
  if x.shape != torch_shape:
    raise UserError(
      f'{path}: {key} has the shape {shortened(list(x.shape))}, not'
      f' {list(torch_shape)}; it is of another network'
    )
  x = x.transpose(2, 3, 1, 0) if len(shape) == 4 else x
  with np.errstate(over='ignore'):
    x = np.array(x, np.float32, order='C')
  if not np.isfinite(x).all():
    raise UserError(f'{path}: {key} is not finite; give intact weights')
  return x
