"""Exports the network of a run, without its optimizer.

A folder of weights works wherever a run folder does, but cannot be resumed. A
file F.onnx or F.stablehlo is the whole program from 2D to 3D, which runs
without this package; see docs/exporting.md.
"""

import dataclasses
import functools
import pathlib

import numpy as np

from semgcn_jax import weights
from semgcn_jax.commands.running import run
from semgcn_jax.commands.shared_flags import RunFlags, checkpoint_setting
from semgcn_jax.config.fields import REQUIRED, Range, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.wild import KINDS, read_wild, score_frames
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.runs.checkpoints import Network, restore_network
from semgcn_jax.runs.folder import check_output
from semgcn_jax.runs.weights import check_folder, save_weights

# Of the bundled weights; docs/model_card.md has the terms of the data.
_LICENCE = 'Apache-2.0.'
_OF_CMU = (
  ' The data used in this project was obtained from mocap.cs.cmu.edu. The'
  ' database was created with funding from NSF EIA-0196217.'
)


@dataclasses.dataclass(frozen=True)
class ExportFlags(RunFlags):
  """The flags of the command."""

  checkpoint: str = checkpoint_setting('Write the weights of', REQUIRED)
  output: str = setting(
    REQUIRED, 'Write this folder, or this file ending in .onnx or .stablehlo.'
  )
  joint_set: str | None = setting(
    None,
    'For a file of a network that lifts several joint sets, take this one; by'
    ' default coco.',
  )
  frames: int | None = setting(
    None,
    'For a file of a network that sees time, take clips of this many frames; by'
    ' default 128, or, if it is causal, one frame after another.',
    Range('from 1 to 1000', lambda x: 1 <= x <= 1000),
  )
  benchmark: bool = setting(
    False, "Benchmark the file, and print its speed beside JAX's."
  )
  calibrate: str = setting(
    '',
    'For a folder, scale the expected errors to the mean of the actual ones on'
    ' this file, made by prepare_data.py --film.',
  )


def export(flags: ExportFlags) -> None:
  """Writes what the flags name."""
  output = pathlib.Path(flags.output)
  ending = output.suffix.lower()
  if ending in ('.onnx', '.stablehlo'):
    if flags.calibrate:
      raise SettingError(
        '`calibrate`: is for a folder; export one, and make the file from it'
      )
    check_output(output, new=True)
    _write_file(flags, output, ending)
    return
  # An ending such as .v2 is part of a folder's name.
  if ending[1:].isalpha():
    raise SettingError(
      f'`output={output}`: end the name of a file in .onnx or .stablehlo, or'
      ' name a folder without an ending'
    )
  for name in ('joint_set', 'frames', 'benchmark'):
    if getattr(flags, name):
      raise SettingError(
        f'`{name}`: is for a file; end `output` in .onnx or .stablehlo'
      )
  _write_folder(flags, output)


def _write_file(flags: ExportFlags, output: pathlib.Path, ending: str) -> None:
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
  write = onnx_files.write if ending == '.onnx' else stablehlo_files.write
  difference = write(exported, output)
  sizes = ', '.join(map(str, program.CHECKED_SIZES))
  print(
    f'{output}: network of epoch {network.progress.epoch}; on batches of'
    f' {sizes} it differs from JAX by up to {difference:.1g} {exported.unit}'
  )
  if flags.benchmark:
    print(exported_files.compare(exported, output, difference))


def _write_folder(flags: ExportFlags, output: pathlib.Path) -> None:
  """Writes a folder of weights."""
  check_folder(output)
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


def _error_scale(network: Network, flags: ExportFlags) -> float:
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


main = functools.partial(run, __doc__, export, ExportFlags)
