"""Compiles a trained network for fast predictions in your own program."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.inference.networks import require_task, trained_function
from semgcn_jax.models.batches import run_batches
from semgcn_jax.runs.networks import restore_network

BATCH_SIZES = (1, 16, 256, 4096)
_CPU_BATCH_SIZE = 256  # The largest on a CPU; more do not fit its caches.


@dataclasses.dataclass(frozen=True)
class Predictor:
  """A network compiled for a few batch sizes.

  Attributes:
    skeleton: The skeleton of its J joints, or the graph of its J nodes.
    compiled: For each batch size N the program `[N, J, C]` -> `[N, J, D]`.
    channels: C, which is 2 except with `input_joints`, see `models.inputs`.
    outputs: The number of features predicted, D; 3 for poses.
  """

  skeleton: Skeleton | Graph
  compiled: dict[int, Any]
  channels: int = 2
  outputs: int = 3

  def __call__(
    self, inputs: Float[np.ndarray, 'N J C']
  ) -> Float[np.ndarray, 'N J D']:
    """Predicts poses, or the features of a graph.

    Args:
      inputs: The 2D joints, `[N, J, 2]`, normalized screen; or the features of
        a graph, `[N, J, C]`, NaN where missing.

    Returns:
      The poses, `[N, J, 3]`, metres, with the root at the origin. A pose is NaN
      if one of its 2D joints is not finite. Or the features, `[N, J, D]`.

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
      return np.zeros((0, joints, self.outputs), np.float32)
    finite = np.ones(len(inputs), bool)
    if not isinstance(self.skeleton, Graph):  # Which may lack some.
      finite = np.all(np.isfinite(inputs), axis=(1, 2))
    inputs = np.where(finite[:, None, None], inputs, 0)
    poses = run_batches(
      lambda rows: self.compiled[len(rows)](inputs[rows]),
      len(inputs),
      self.compiled,
    )
    poses[~finite] = np.nan
    return poses


def make_predictor(
  config: Config,
  skeleton: Skeleton | Graph,
  variables: dict[str, Any],
  *,
  batch_sizes: Sequence[int] = BATCH_SIZES,
  precision: str = 'highest',
) -> Predictor:
  """Compiles a network for a few batch sizes, see `trained_function`.

  Args:
    batch_sizes: The sizes to compile for, each at most 256 on a CPU. Other
      batches are split or padded, see `batches.split`.
    precision: A value of the setting `precision`.

  Raises:
    UserError: The network does not take single frames, or its poses have no
      scale.
    SettingError: There is no such precision.
    ValueError: A batch size is not above 0.
  """
  TrainingConfig(precision=precision)  # This checks the value.
  sizes = set(batch_sizes)
  if not sizes or min(sizes) < 1:
    raise ValueError(f'`batch_sizes={batch_sizes}`: give one or more above 0')
  if jax.default_backend() == 'cpu':
    sizes = {min(size, _CPU_BATCH_SIZE) for size in sizes}
  require_task(config, 'frames', 'nodes')
  function = trained_function(config, skeleton, variables, precision=precision)

  channels, outputs = config.model.input_channels, 3
  if isinstance(skeleton, Graph):
    channels, outputs = len(skeleton.inputs.mean), len(skeleton.targets.mean)

  def compile(size):
    shape = (size, skeleton.num_joints, channels)
    forward = jax.jit(lambda inputs: function(inputs)[..., :outputs])
    return forward.lower(jax.ShapeDtypeStruct(shape, jnp.float32)).compile()

  compiled = {size: compile(size) for size in sorted(sizes)}
  return Predictor(skeleton, compiled, channels, outputs)


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
    averaged: Whether to take the averaged weights, if the run has any.
    batch_sizes: See `make_predictor`.
    precision: See `make_predictor`.

  Raises:
    UserError: There is no run or checkpoint, or it is damaged.
    SettingError: There is no such checkpoint or seed.

  Examples:
    >>> import numpy as np
    >>> from semgcn_jax import load_predictor
    >>> predict = load_predictor('runs/first', batch_sizes=(16,))
    >>> predict(np.zeros((20, 16, 2))).shape
    (20, 16, 3)
  """
  network = restore_network(workdir, which, averaged=averaged)
  return make_predictor(
    network.config,
    network.skeleton,
    network.of_seed(seed),
    batch_sizes=batch_sizes,
    precision=precision,
  )
