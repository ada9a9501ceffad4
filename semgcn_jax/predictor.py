"""Predictions in one's own program: a trained network, compiled for speed."""

import functools
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax import checkpoints, fused, models
from semgcn_jax import config as config_lib
from semgcn_jax.config import Config
from semgcn_jax.errors import UserError, choose
from semgcn_jax.evaluate import predict, seed_variables
from semgcn_jax.layers import BatchNorm
from semgcn_jax.skeleton import Skeleton
from semgcn_jax.train_step import matmul_precision

BATCH_SIZES = (1, 16, 256, 4096)
_CPU_BATCH_SIZE = 256  # At most on a CPU, whose caches hold no more.
# What stands before a batch norm.
_NORMALIZED = ('conv', 'out', 'linear')


class FoldedNorm(nn.Module):
  """What is left of a batch norm after `fold`: its ReLU, and behind graph
  attention, whose kernel has another use, its `factor` and `shift`."""

  relu: bool = False
  scale_init: Any = None

  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    if self.has_variable('params', 'factor'):
      factor, shift = (
        self.get_variable('params', name) for name in ('factor', 'shift')
      )
      x = (x * factor + shift).astype(x.dtype)
    return nn.relu(x) if self.relu else x


def fold(variables: dict[str, Any]) -> dict[str, Any]:
  """Puts every batch norm, with its running statistics, into the layer before.

  y = s (W x + b - mean) + beta is one with kernel s W and bias
  s (b - mean) + beta, for s = scale / sqrt(var + epsilon).

  Args:
    variables: params and batch_stats of a model.

  Returns:
    The params of that model with `FoldedNorm` for its norms.
  """

  def fold_below(params, stats):
    folded = {
      name: fold_below(part, stats.get(name, {}))
      if isinstance(part, dict)
      else part
      for name, part in params.items()
    }
    norm = folded.pop('norm', None)
    if norm is not None:
      (name,) = (name for name in _NORMALIZED if name in folded)
      layer, of_norm = folded[name], stats['norm']
      deviation = jnp.sqrt(of_norm['var'] + BatchNorm.epsilon)
      factor = norm['scale'] / deviation
      if 'attention' in layer:  # Which is of the nodes behind the kernel.
        shift = norm['bias'] - of_norm['mean'] * factor
        folded['norm'] = {'factor': factor, 'shift': shift}
        return folded
      folded[name] = layer | {
        'kernel': layer['kernel'] * factor,
        'bias': (layer['bias'] - of_norm['mean']) * factor + norm['bias'],
      }
    return folded

  return {'params': fold_below(variables['params'], variables['batch_stats'])}


def make_predictor(
  config: Config,
  skeleton: Skeleton,
  variables: dict[str, Any],
  *,
  batch_sizes: Sequence[int] = BATCH_SIZES,
  precision: str = 'highest',
) -> Callable[[np.ndarray], np.ndarray]:
  """Compiles a network for a few batch sizes.

  The parameters are constants of the programs, so that all that depends on
  them alone is computed once. On an NVIDIA GPU, 'bfloat16' is a single kernel
  where there is one for the network, see `fused`.

  Args:
    config: of the run; model fields and flip_test count.
    skeleton: of the poses.
    variables: params and batch_stats.
    batch_sizes: to compile for, on a CPU up to 256; others are cut, or filled
      up, see `split`.
    precision: of the products, as `--precision` has it.

  Returns:
    Joints `[N, J, 2]`, normalised screen -> `[N, J, 3]`, metres, root at the
    origin; NaN where a joint of the pose is not finite; raises ValueError for
    another shape.

  Raises:
    UserError: the run's predictions have no scale of their own.
    FlagError: no such precision.
    ValueError: bad batch sizes.
  """
  choose('precision', precision, dict.fromkeys(config_lib.PRECISIONS))
  sizes = set(batch_sizes)
  if not sizes or min(sizes) < 1:
    raise ValueError(f'batch_sizes {batch_sizes}: give some above 0')
  if jax.default_backend() == 'cpu':
    sizes = {min(size, _CPU_BATCH_SIZE) for size in sizes}
  if config.calibrates:
    raise UserError(
      'predictions of runs with --image_aligned or --scale_calibration need the'
      ' training poses for their scale; score these runs by evaluate.py'
    )
  folded = jax.device_get(fold(variables))
  in_bfloat16 = precision == 'bfloat16'
  if in_bfloat16 and fused.fits(config, skeleton) and fused.runs_here():
    network = fused.make_network(config, skeleton, folded['params'])
  else:
    dtype = jnp.bfloat16 if in_bfloat16 else jnp.float32
    model = models.build(config, skeleton, norm=FoldedNorm, dtype=dtype)
    network = functools.partial(model.apply, folded)

  def forward(inputs):
    with matmul_precision(precision):
      return predict(network, inputs, skeleton, flip_test=config.flip_test)

  compiled = {
    size: jax.jit(forward)
    .lower(jax.ShapeDtypeStruct((size, skeleton.num_joints, 2), jnp.float32))
    .compile()
    for size in sorted(sizes)
  }

  def predictor(inputs):
    inputs = np.asarray(inputs, np.float32)
    if inputs.ndim != 3 or inputs.shape[1:] != (skeleton.num_joints, 2):
      raise ValueError(
        f'joints of shape {inputs.shape}: give [N, {skeleton.num_joints}, 2]'
      )
    if not len(inputs):
      return np.zeros((0, skeleton.num_joints, 3), np.float32)
    # A kernel takes several poses together, among which a NaN would spread.
    finite = np.isfinite(inputs).all(axis=(1, 2))
    inputs = np.where(finite[:, None, None], inputs, 0)
    parts, start = [], 0
    for size in split(len(inputs), compiled):
      part = inputs[start : start + size]
      if len(part) < size:  # The last.
        part = np.pad(part, ((0, size - len(part)), (0, 0), (0, 0)))
      parts.append(compiled[size](part))
      start += size
    poses = np.concatenate(parts)[: len(inputs)]
    poses[~finite] = np.nan
    return poses

  predictor.compiled = compiled
  return predictor


def split(poses: int, sizes: Iterable[int]) -> list[int]:
  """Cuts a batch into such of these sizes that little is computed in vain.

  Only the last may be larger than what is left for it: less than four
  times as large, unless there is no smaller one.

  Args:
    poses: at least 1.
    sizes: to choose from.
  """
  sizes, parts = sorted(sizes), []
  while poses > 0:
    above = next((size for size in sizes if poses <= size), None)
    below = max((size for size in sizes if size <= poses), default=None)
    part = above if below is None or above and above < 4 * poses else below
    parts.append(part)
    poses -= part
  return parts


def load_predictor(
  workdir: str | pathlib.Path,
  which: str = 'best',
  *,
  seed: int | None = None,
  averaged: bool = True,
  batch_sizes: Sequence[int] = BATCH_SIZES,
  precision: str = 'highest',
) -> Callable[[np.ndarray], np.ndarray]:
  """The predictor of a run's checkpoint.

  Args:
    workdir: folder of the run.
    which: 'best', 'last' or the number of an epoch.
    seed: of a run with several; None: the first.
    averaged: the averaged weights, if the run has some.
    batch_sizes: see `make_predictor`.
    precision: see `make_predictor`.

  Raises:
    UserError: there is no run or checkpoint, or it is damaged.
    FlagError: no such checkpoint or seed.
  """
  config, skeleton, variables, _ = checkpoints.restore_network(
    pathlib.Path(workdir), which, averaged=averaged
  )
  index = 0 if seed is None else config.index_of_seed(seed)
  return make_predictor(
    config,
    skeleton,
    seed_variables(variables, config)[index],
    batch_sizes=batch_sizes,
    precision=precision,
  )
