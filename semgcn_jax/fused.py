"""SemGCN's whole forward pass as one GPU kernel, for predictions in bfloat16.

XLA makes about a hundred kernels of it: one pose waits for their launches, and
thousands wait for memory. Here a few poses stay in the registers of one
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

from semgcn_jax.config import Config
from semgcn_jax.functional import semantic_adjacency
from semgcn_jax.graph import adjacency_mask
from semgcn_jax.skeleton import Skeleton

try:  # Not in every jaxlib. JAX prefers Mosaic GPU by now, which needs Hopper.
  from jax.experimental.pallas import triton
except ImportError:
  triton = None

Array = jax.Array
_LEAST = 16  # Rows, columns or channels of a product; fewer are filled up.
# Rows at a time. The most is what Hopper's matrix unit takes at once; fewer
# poses are done sooner on more multiprocessors.
_TILES = (_LEAST, 32, 64)
_WARPS = 4  # That share the rows.
_MULTIPROCESSORS = 128  # About.


def fits(config: Config, skeleton: Skeleton) -> bool:
  """Whether there is a kernel for a network: SemGCN with sizes that are powers
  of two, and not too large for one multiprocessor."""
  joints = pooled = skeleton.num_joints
  if config.non_local and skeleton.groups:
    pooled = len(skeleton.groups)
  return (
    config.model == 'semgcn'
    and config.conv == 'semantic'
    and not config.refine
    and config.num_layers > 0
    and config.hid_dim in (32, 64, 128)
    and joints in (8, 16, 32, 64)
    and pooled in (joints // 2, joints)
  )


def runs_here() -> bool:
  """Whether the default device is an NVIDIA GPU that computes in bfloat16."""
  (device,) = jnp.zeros(()).devices()
  return (
    triton is not None
    and 'NVIDIA' in device.device_kind
    and float(device.compute_capability) >= 8
  )


def make_network(
  config: Config,
  skeleton: Skeleton,
  params: dict[str, Any],
  *,
  dtype: Any = jnp.bfloat16,
  interpret: bool = False,
) -> Callable[[Array], Array]:
  """The network as a function of one kernel.

  Args:
    config: of the run; must fit.
    skeleton: of the poses.
    params: of the model with folded norms, see `predictor.fold`.
    dtype: of the operands of products; but for those of the first and the last
      layer, which are float32 (tf32 on a GPU), as all sums and activations.
    interpret: runs it without a GPU, slowly.

  Returns:
    Joints `[B, J, 2]`, normalised screen -> `[B, J, 3]`, metres.
  """
  joints = skeleton.num_joints

  def network(inputs):
    count = len(inputs) * joints
    least = max(joints, count / _MULTIPROCESSORS)
    tile = next((rows for rows in _TILES if rows >= least), _TILES[-1])
    with jax.ensure_compile_time_eval():  # The parameters are constants.
      arguments = _arrange(config, skeleton, params, dtype, tile // joints)

    def kernel(x_ref, *refs):
      *given, y_ref = refs
      rows = pl.program_id(0) * tile + jnp.arange(tile)[:, None]
      there = rows < count
      channels = jnp.arange(_LEAST)[None]
      x = triton.load(
        x_ref.at[2 * rows + channels], mask=there & (channels < 2), other=0
      )
      y = _forward(x, dict(zip(arguments, given, strict=True)), config)
      triton.store(y_ref.at[rows, channels], y, mask=there & (channels < 3))

    y = pl.pallas_call(
      kernel,
      grid=-(-count // tile),
      out_shape=jax.ShapeDtypeStruct((count, 3), jnp.float32),
      compiler_params=triton.CompilerParams(num_warps=_WARPS, num_stages=1),
      interpret=interpret,
    )(inputs.ravel(), *arguments.values())
    return y.reshape(-1, joints, 3)

  return network


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
    kernel, bias = layer['kernel'], layer['bias']
    missing = [(0, 0), (0, channels - kernel.shape[1])]
    missing.append((0, features - kernel.shape[2]))
    itself, neighbours = np.pad(kernel, missing)
    adjacency = np.asarray(semantic_adjacency(layer['edge_logits'], mask))
    diagonal = np.diag(adjacency)
    return {
      'itself': itself,
      'neighbours': neighbours,
      'bias': np.pad(bias, missing[2:]),
      'diagonal': np.tile(diagonal, poses),
      'mixing': np.kron(eye, adjacency - np.diag(diagonal)),
    }

  def non_local(layer):
    weight_theta, weight_phi = np.split(np.asarray(layer['affinity']), 2)
    none = np.zeros_like(weight_phi)
    bias = layer['theta']['bias'] @ weight_theta
    out = layer['out']['kernel']
    return {
      'theta': layer['theta']['kernel'] @ weight_theta,
      'affinity_bias': bias + layer['phi']['bias'] @ weight_phi,
      # phi and g side by side; each use takes its half.
      'nodes': np.hstack([layer['phi']['kernel'], layer['g']['kernel']]),
      'nodes_bias': np.hstack([none, layer['g']['bias']]),
      'weight_phi': np.hstack([weight_phi, none]),
      'out': np.vstack([np.zeros_like(out), out]),
      'out_bias': layer['out']['bias'],
    }

  width = config.hid_dim
  blocks = [params[f'residual{i}'] for i in range(config.num_layers)]
  parts = {
    'input': conv(params['input']['conv'], _LEAST, width),
    'hidden': _stack(
      [
        conv(block[name]['conv'], width, width)
        for block in blocks
        for name in ('block1', 'block2')
      ]
    ),
    'output': conv(params['output'], width, _LEAST),
  }
  if config.non_local:
    names = ['input', *(f'residual{i}' for i in range(config.num_layers))]
    parts['non_local'] = _stack(
      [non_local(params[f'{name}_non_local']) for name in names]
    )
    groups = skeleton.groups or tuple((j,) for j in range(len(mask)))
    # A shorter group repeats its joints, which leaves the max as it is.
    pick = np.zeros((max(map(len, groups)), len(groups), len(mask)))
    for member, n in np.ndindex(pick.shape[:2]):
      pick[member, n, groups[n][member % len(groups[n])]] = 1
    share = np.kron(eye, np.ones((len(mask), len(groups))) / len(groups))
    missing = (0, max(_LEAST - poses * len(groups), 0))
    parts['pool'] = {
      'pick': np.stack(
        [np.pad(np.kron(eye, member), (missing, (0, 0))) for member in pick]
      ),
      'share': np.pad(share, ((0, 0), missing)),
    }
  operands = ('mixing', 'itself', 'neighbours', 'nodes', 'out', 'pick')
  ends = ('input', 'output')  # Few channels, and the error is made here.
  return {
    f'{part}_{name}': jnp.asarray(
      value, dtype if name in operands and part not in ends else jnp.float32
    )
    for part, fields in parts.items()
    for name, value in fields.items()
  }


def _stack(layers: list[dict[str, Array]]) -> dict[str, Array]:
  return {
    name: np.stack([layer[name] for layer in layers]) for name in layers[0]
  }


def _dot(x: Array, y: Array) -> Array:
  """A product in the narrower type, its sums in float32."""
  assert min(x.shape + y.shape) >= _LEAST, (x.shape, y.shape)
  dtype = min(x.dtype, y.dtype, key=lambda dtype: dtype.itemsize)
  return jnp.dot(
    x.astype(dtype), y.astype(dtype), preferred_element_type=jnp.float32
  )


def _forward(x: Array, refs: dict[str, Any], config: Config) -> Array:
  """In the kernel, rows `[R, 16]` -> `[R, 16]`."""

  def conv(x, part, *index):
    def read(name):
      return refs[f'{part}_{name}'][(*index, ...)]

    y = read('diagonal')[:, None] * _dot(x, read('itself'))
    neighbours = _dot(x, read('neighbours'))
    return y + _dot(read('mixing'), neighbours) + read('bias')

  def non_local(x, index):
    if not config.non_local:
      return x

    def read(name):
      return refs[f'non_local_{name}'][(index, ...)]

    nodes = _dot(x, read('nodes'))
    pick = refs['pool_pick']
    members = (_dot(pick[member], nodes) for member in range(len(pick)))
    nodes = functools.reduce(jnp.maximum, members)
    theta = jnp.sum(x * read('theta'), axis=1) + read('affinity_bias')
    phi = jnp.sum(nodes * read('weight_phi'), axis=1)
    affinity = jnp.maximum(theta[:, None] + phi[None], 0)
    affinity = affinity * refs['pool_share'][...]
    y = _dot(affinity, nodes + read('nodes_bias'))
    return x + _dot(y, read('out')) + read('out_bias')

  def residual(block, x):
    y = jnp.maximum(conv(x, 'hidden', 2 * block), 0)
    y = jnp.maximum(conv(y, 'hidden', 2 * block + 1), 0)
    return non_local(x + y, block + 1)

  x = jnp.maximum(conv(x, 'input'), 0)
  x = non_local(x, 0)
  x = jax.lax.fori_loop(0, config.num_layers, residual, x)
  return conv(x, 'output')
