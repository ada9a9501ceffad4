"""The whole of SemGCN's forward pass as one GPU kernel, for predictions.

XLA makes about a hundred kernels of it, which for one pose wait for each other
and for thousands wait for memory. Here a few poses stay in the registers of one
multiprocessor from input to output. `models.semgcn` is the reference that this
is tested against.

The rows of all matrices are the joints of P poses, one pose after the other, so
that mixing the joints, and pooling them, are products with block-diagonal
matrices.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from semgcn_jax.config import Config
from semgcn_jax.functional import semantic_adjacency
from semgcn_jax.graph import adjacency_mask
from semgcn_jax.skeleton import Skeleton

Array = jax.Array
_FEW = 16  # Channels of input and output, filled up to what a product takes.


def fits(config: Config, skeleton: Skeleton) -> bool:
  """Whether there is a kernel for a network: SemGCN with sizes that are powers
  of two."""
  sizes = [skeleton.num_joints, config.hid_dim]
  if config.non_local:
    sizes.append(len(skeleton.groups) or skeleton.num_joints)
  return (
    config.model == 'semgcn'
    and config.conv == 'semantic'
    and not config.refine
    and config.num_layers > 0
    and config.hid_dim >= 32
    and all(size >= 8 and size & (size - 1) == 0 for size in sizes)
  )


def make_network(
  config: Config,
  skeleton: Skeleton,
  params: dict[str, Any],
  *,
  dtype: Any = jnp.bfloat16,
  poses: int = 4,
  num_warps: int = 4,
  interpret: bool = False,
) -> Callable[[Array], Array]:
  """The network as a function of one kernel.

  Args:
    config: of the run; must fit.
    skeleton: of the poses.
    params: of the model with folded norms, see `predictor.fold`.
    dtype: of the operands of products; sums and activations are float32.
    poses: P, a power of two, at least 2.
    num_warps: of 32 threads each, that share P poses.
    interpret: runs it without a GPU, slowly.

  Returns:
    Joints `[B, J, 2]`, normalised screen -> `[B, J, 3]`, metres.
  """
  arguments = _arrange(config, skeleton, params, dtype, poses)
  joints, rows = skeleton.num_joints, poses * skeleton.num_joints
  names, values = zip(*arguments.items(), strict=True)
  ends = ('itself', 'neighbours', 'phi', 'g', 'out')
  channel_maps = [v for name, v in arguments.items() if name.endswith(ends)]

  def kernel(*refs):
    x_ref, *given, y_ref = refs
    y_ref[...] = _forward(
      x_ref[...], dict(zip(names, given, strict=True)), config
    )

  def network(inputs):
    tiles = -(-len(inputs) // poses)
    missing = tiles * poses - len(inputs)
    x = jnp.pad(inputs, ((0, missing), (0, 0), (0, _FEW - inputs.shape[-1])))
    y = pl.pallas_call(
      kernel,
      grid=(tiles,),
      in_specs=[
        pl.BlockSpec((rows, _FEW), lambda i: (i, 0)),
        *(
          pl.BlockSpec(v.shape, functools.partial(_whole, v.ndim))
          for v in values
        ),
      ],
      out_specs=pl.BlockSpec((rows, _FEW), lambda i: (i, 0)),
      out_shape=jax.ShapeDtypeStruct((tiles * rows, _FEW), jnp.float32),
      cost_estimate=pl.CostEstimate(
        flops=2 * tiles * rows * sum(v.size for v in channel_maps),
        bytes_accessed=8 * tiles * rows * _FEW + sum(v.nbytes for v in values),
        transcendentals=0,
      ),
      compiler_params=triton.CompilerParams(num_warps=num_warps, num_stages=1),
      interpret=interpret,
    )(x.reshape(-1, _FEW).astype(jnp.float32), *values)
    return y.reshape(-1, joints, _FEW)[: len(inputs), :, :3]

  return network


def _whole(ndim: int, tile: Any) -> tuple[int, ...]:
  del tile
  return (0,) * ndim


def _arrange(
  config: Config,
  skeleton: Skeleton,
  params: dict[str, Any],
  dtype: Any,
  poses: int,
) -> dict[str, Array]:
  """What the kernel reads, layers of one kind stacked."""
  mask = adjacency_mask(skeleton)
  eye = np.eye(poses, dtype=np.float32)

  def conv(layer, channels, features):
    adjacency = np.asarray(semantic_adjacency(layer['edge_logits'], mask))
    kernel = np.asarray(layer['kernel'], np.float32)
    kernel = np.pad(
      kernel,
      (
        *((0, 0), (0, channels - kernel.shape[1])),
        (0, features - kernel.shape[2]),
      ),
    )
    bias = np.asarray(layer['bias'], np.float32)
    diagonal = np.diag(adjacency)
    return {
      'itself': kernel[0],
      'neighbours': kernel[1],
      'bias': np.pad(bias, (0, features - len(bias))),
      'diagonal': np.tile(diagonal, poses),
      'mixing': np.kron(eye, adjacency - np.diag(diagonal)),
    }

  def non_local(layer):
    weight_theta, weight_phi = np.split(np.asarray(layer['affinity']), 2)
    bias = layer['theta']['bias'] @ weight_theta
    return {
      'theta': layer['theta']['kernel'] @ weight_theta,
      'affinity_bias': bias + layer['phi']['bias'] @ weight_phi,
      'phi': layer['phi']['kernel'],
      'weight_phi': weight_phi,
      'g': layer['g']['kernel'],
      'g_bias': layer['g']['bias'],
      'out': layer['out']['kernel'],
      'out_bias': layer['out']['bias'],
    }

  width, count = config.hid_dim, config.num_layers
  hidden = [
    conv(params[f'residual{i}'][block]['conv'], width, width)
    for i in range(count)
    for block in ('block1', 'block2')
  ]
  parts = {
    'input': conv(params['input']['conv'], _FEW, width),
    'hidden': _stack(hidden),
    'output': conv(params['output'], width, _FEW),
  }
  if config.non_local:
    names = ['input', *(f'residual{i}' for i in range(count))]
    layers = [non_local(params[f'{name}_non_local']) for name in names]
    parts['non_local'] = _stack(layers)
    groups = skeleton.groups or tuple((j,) for j in range(len(mask)))
    size = max(map(len, groups))
    pick = np.zeros((size, len(groups), len(mask)), np.float32)
    for n, group in enumerate(groups):
      for member in range(size):
        pick[member, n, group[member % len(group)]] = 1
    parts['pool'] = {
      'pick': np.stack([np.kron(eye, member) for member in pick]),
      'share': np.kron(eye, np.ones((len(mask), len(groups))) / len(groups)),
    }
  operands = ('itself', 'neighbours', 'mixing', 'phi', 'g', 'out', 'pick')
  return {
    f'{part}_{name}': jnp.asarray(
      value,
      dtype if name in operands and part != 'output' else jnp.float32,
    )
    for part, fields in parts.items()
    for name, value in fields.items()
  }


def _stack(layers: list[dict[str, Array]]) -> dict[str, Array]:
  return {
    name: np.stack([layer[name] for layer in layers]) for name in layers[0]
  }


def _dot(x: Array, y: Array) -> Array:
  return jnp.dot(x.astype(y.dtype), y, preferred_element_type=jnp.float32)


def _forward(x: Array, refs: dict[str, Any], config: Config) -> Array:
  """Rows `[R, 16]` -> `[R, 16]`, in the kernel."""

  def conv(x, part, *index):
    def read(name):
      return refs[f'{part}_{name}'][(*index, ...)]

    y = read('diagonal')[:, None] * _dot(x, read('itself'))
    neighbours = _dot(x, read('neighbours'))
    mixing = read('mixing')
    return y + _dot(mixing, neighbours.astype(mixing.dtype)) + read('bias')

  def non_local(x, index):
    if not config.non_local:
      return x

    def read(name):
      return refs[f'non_local_{name}'][(index, ...)]

    def pool(z):
      pick = refs['pool_pick']
      members = (
        _dot(pick[member], z.astype(pick.dtype))
        for member in range(pick.shape[0])
      )
      return functools.reduce(jnp.maximum, members)

    theta = jnp.sum(x * read('theta'), axis=1) + read('affinity_bias')
    phi = jnp.sum(pool(_dot(x, read('phi'))) * read('weight_phi'), axis=1)
    affinity = jnp.maximum(theta[:, None] + phi[None], 0)
    affinity = affinity * refs['pool_share'][...]
    g = pool(_dot(x, read('g'))) + read('g_bias')
    dtype = refs['non_local_out'].dtype
    y = _dot(affinity.astype(dtype), g.astype(dtype))
    return x + _dot(y, read('out')) + read('out_bias')

  def residual(block, x):
    y = jnp.maximum(conv(x, 'hidden', 2 * block), 0)
    y = jnp.maximum(conv(y, 'hidden', 2 * block + 1), 0)
    return non_local(x + y, block + 1)

  x = jnp.maximum(conv(x, 'input'), 0)
  x = non_local(x, 0)
  x = jax.lax.fori_loop(0, config.num_layers, residual, x)
  return conv(x, 'output')
