"""Exports what the flags of export.py name."""

import pathlib

import numpy as np

from semgcn_jax import weights
from semgcn_jax.commands.flags.export import Flags
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.wild import KINDS, read_wild, score_frames
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.runs.networks import Network, restore_network
from semgcn_jax.runs.weights import save_weights

# Of the bundled weights; docs/model_card.md has the terms of the data.
_LICENCE = 'Apache-2.0.'
_OF_CMU = (
  ' The data used in this project was obtained from mocap.cs.cmu.edu. The'
  ' database was created with funding from NSF EIA-0196217.'
)


def main(flags: Flags) -> None:
  """Writes what the flags name."""
  output = pathlib.Path(flags.output)
  if flags.ending:
    _write_file(flags, output)
  else:
    _write_folder(flags, output)


def _write_file(flags: Flags, output: pathlib.Path) -> None:
  """Writes a file, and prints how well it agrees with JAX."""
  # Imported here, as writing a folder of weights is faster without them.
  from semgcn_jax.benchmarks import exported_files
  from semgcn_jax.export import onnx_files, program, programs, stablehlo_files

  network = restore_network(flags.checkpoint, flags.which)
  licence = ''
  if flags.checkpoint in weights.names():
    is_of_cmu = network.config.data.dataset == 'cmu'
    licence = _LICENCE + _OF_CMU * is_of_cmu
  exported = programs.make_program(
    *(network, flags.only_seed, flags.joint_set, licence, flags.frames)
  )
  write = onnx_files.write if flags.ending == '.onnx' else stablehlo_files.write
  difference = write(exported, output)
  sizes = ', '.join(map(str, program.CHECKED_SIZES))
  print(
    f'{output}: network of epoch {network.progress.epoch}; on batches of'
    f' {sizes} it differs from JAX by up to {difference:.1g} {exported.unit}'
  )
  if flags.benchmark:
    print(exported_files.compare(exported, output, difference))


def _write_folder(flags: Flags, output: pathlib.Path) -> None:
  """Writes a folder of weights."""
  network = restore_network(flags.checkpoint, flags.which)
  variables = network.of_seed(flags.only_seed)
  training = network.config.training
  seed = training.seed if flags.only_seed is None else flags.only_seed
  config = network.config.replace(seed=seed, num_seeds=1)
  if flags.calibrate:
    scale = _error_scale(network, flags)
    config = config.replace(error_scale=scale)
  save_weights(
    output, config, network.skeleton, variables, network.progress.epoch
  )
  print(f'{output}: weights of epoch {network.progress.epoch}')
  if flags.calibrate:
    print(f'expected errors are multiplied by {scale:.3f}')


def _error_scale(network: Network, flags: Flags) -> float:
  """Finds what to multiply the expected errors by, on filmed poses."""
  if not network.config.model.expected_error:
    raise SettingError(
      f'`checkpoint={flags.checkpoint}`: has no expected errors to calibrate'
    )
  lifter = Lifter.of(network, flags.only_seed, flags.checkpoint)
  arrays = read_wild(pathlib.Path(flags.calibrate))
  scored = [score_frames(lifter, arrays, arrays[kind]) for kind in KINDS]
  actual, expected = (
    np.mean([getattr(kind, name).mean() for kind in scored])
    for name in ('actual', 'expected')
  )
  return network.config.model.error_scale * float(actual / expected)
