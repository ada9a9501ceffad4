"""Predictions in your own program: a trained network, compiled for speed."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import Skeleton, mirror
from semgcn_jax.models.build import build
from semgcn_jax.models.folding import FoldedNorm, fold
from semgcn_jax.models.inputs import mirror_inputs
from semgcn_jax.models.precision import matmul_precision
from semgcn_jax.models.root_relative import predict
from semgcn_jax.runs.checkpoints import restore_network

BATCH_SIZES = (1, 16, 256, 4096)
_CPU_BATCH_SIZE = 256  # The largest on a CPU, whose caches hold no more.


@dataclasses.dataclass(frozen=True)
class Predictor:
  """A network compiled for a few batch sizes.

  Attributes:
    skeleton: The skeleton of its J joints.
    compiled: For each batch size N the program `[N, J, C]` -> `[N, J, 3]`.
    channels: C, which is 2 but for networks of `input_joints`; the inputs of
      those are what `models.inputs` makes.
  """

  skeleton: Skeleton
  compiled: dict[int, Any]
  channels: int = 2

  def __call__(self, inputs: np.ndarray) -> np.ndarray:
    """Predicts poses.

    Args:
      inputs: The 2D joints, `[N, J, 2]`, normalised screen; in general
        `[N, J, C]`.

    Returns:
      The poses, `[N, J, 3]`, metres, with the root at the origin. A pose is NaN
      if one of its 2D joints is not finite.

    Raises:
      ValueError: The inputs have another shape.
    """
    inputs = np.asarray(inputs, np.float32)
    joints, channels = self.skeleton.num_joints, self.channels
    if inputs.ndim != 3 or inputs.shape[1:] != (joints, channels):
      raise ValueError(
        f'the inputs have the shape {inputs.shape}; give'
        f' [N, {joints}, {channels}]'
      )
    if not len(inputs):
      return np.zeros((0, joints, 3), np.float32)
    finite = np.all(np.isfinite(inputs), axis=(1, 2))
    inputs = np.where(finite[:, None, None], inputs, 0)
    parts, start = [], 0
    for size in split(len(inputs), self.compiled):
      part = inputs[start : start + size]
      if len(part) < size:  # Only the last part can be.
        part = np.pad(part, ((0, size - len(part)), (0, 0), (0, 0)))
      parts.append(self.compiled[size](part))
      start += size
    poses = np.concatenate(parts)[: len(inputs)]
    poses[~finite] = np.nan
    return poses


def make_predictor(
  config: Config,
  skeleton: Skeleton,
  variables: dict[str, Any],
  *,
  batch_sizes: Sequence[int] = BATCH_SIZES,
  precision: str = 'highest',
) -> Predictor:
  """Compiles a network for a few batch sizes.

  The parameters are constants of the programs, so that what depends on them
  alone is computed only once.

  Args:
    config: The config of the run, of which the model and `flip_test` are used.
    skeleton: The skeleton of the poses.
    variables: The params and batch_stats of the network.
    batch_sizes: The sizes to compile for, each at most 256 on a CPU. Other
      batches are cut or filled up, see `split`.
    precision: How exactly to compute, a value of the setting `precision`.

  Raises:
    UserError: The run's predictions have no scale of their own.
    SettingError: There is no such precision.
    ValueError: A batch size is not above 0.
  """
  TrainingConfig(precision=precision)  # This checks the value.
  sizes = set(batch_sizes)
  if not sizes or min(sizes) < 1:
    raise ValueError(f'`batch_sizes={batch_sizes}`: give one or more above 0')
  if jax.default_backend() == 'cpu':
    sizes = {min(size, _CPU_BATCH_SIZE) for size in sizes}
  forward = make_forward(config, skeleton, variables, precision=precision)
  channels = config.model.input_channels
  compiled = {
    size: jax.jit(forward)
    .lower(
      jax.ShapeDtypeStruct((size, skeleton.num_joints, channels), jnp.float32)
    )
    .compile()
    for size in sorted(sizes)
  }
  return Predictor(skeleton, compiled, channels)


def make_forward(
  config: Config,
  skeleton: Skeleton,
  variables: dict[str, Any],
  *,
  precision: str = 'highest',
) -> Callable[[jax.Array], jax.Array]:
  """Makes the pure function of a network, with its batch norms folded.

  Args:
    config: The config of the run, of which the model and `flip_test` are used.
    skeleton: The skeleton of the poses.
    variables: The params and batch_stats of the network.
    precision: How exactly to compute, a value of the setting `precision`.

  Returns:
    A function from 2D joints on the normalised screen, `[B, J, 2]`, in general
    `[B, J, C]`, to poses, `[B, J, 3]`, metres, with the root at the origin.

  Raises:
    UserError: The run's predictions have no scale of their own.
  """
  if config.model.backbone:
    raise UserError('the network takes pictures; use `ImageLifter` for it')
  if config.model.is_temporal:
    raise UserError('the network takes clips; use `Lifter` for it')
  if config.calibrates:
    raise UserError(
      'predictions of a run with `image_aligned` or `scale_calibration` have no'
      ' scale of their own: they can be scored, but neither made nor drawn'
    )
  folded = jax.device_get(fold(variables))
  dtype = jnp.bfloat16 if precision == 'bfloat16' else jnp.float32
  model = build(config.model, skeleton, norm=FoldedNorm, dtype=dtype)
  network = functools.partial(model.apply, folded)
  flip_test = config.evaluation.flip_test

  def forward(inputs):
    with matmul_precision(precision):
      predicted = predict(
        network,
        inputs,
        skeleton,
        flip_test=flip_test,
        mirror_inputs=mirror_inputs if config.model.input_joints else mirror,
      )
      return predicted[..., :3]

  return forward


def split(poses: int, sizes: Iterable[int]) -> list[int]:
  """Cuts a batch into parts of given sizes, so that little is computed in vain.

  Only the last part may be larger than what is left for it, and it is less than
  four times as large, unless there is no smaller size.

  Args:
    poses: The size of the batch, at least 1.
    sizes: The sizes to choose from.

  Returns:
    The size of each part.
  """
  sizes, parts = sorted(sizes), []
  while poses > 0:
    above = [size for size in sizes if poses <= size][:1]
    below = [size for size in sizes if size <= poses][-1:]
    if not below or above and above[0] < 4 * poses:
      (part,) = above
    else:
      (part,) = below
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
) -> Predictor:
  """Compiles the network of a run's checkpoint.

  Args:
    workdir: The folder of the run.
    which: 'best', 'last' or the number of an epoch.
    seed: The seed to take from a run with several; None takes the first.
    averaged: Whether to take the averaged weights, if the run has some.
    batch_sizes: See `make_predictor`.
    precision: See `make_predictor`.

  Raises:
    UserError: There is no run or checkpoint, or it is damaged.
    SettingError: There is no such checkpoint or seed.
  """
  network = restore_network(workdir, which, averaged=averaged)
  return make_predictor(
    network.config,
    network.skeleton,
    network.of_seed(seed),
    batch_sizes=batch_sizes,
    precision=precision,
  )
