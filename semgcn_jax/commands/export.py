"""Writes the network of a run for other places, without its optimizer.

A folder of weights serves wherever that of a run does, but cannot be resumed. A
file F.onnx or F.stablehlo is the whole program from 2D to 3D, which runs
without this package; docs/programs.md tells how.
"""

import dataclasses
import functools
import pathlib

from semgcn_jax import weights
from semgcn_jax.commands.running import run
from semgcn_jax.commands.shared_flags import RunFlags, checkpoint_setting
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.runs.checkpoints import restore_network
from semgcn_jax.runs.folder import check_output
from semgcn_jax.runs.weights import save_weights

# Of the weights in the box; docs/model_card.md has the terms of the data.
_LICENCE = (
  'Apache-2.0. The data used in this project was obtained from'
  ' mocap.cs.cmu.edu. The database was created with funding from NSF'
  ' EIA-0196217.'
)


@dataclasses.dataclass(frozen=True)
class ExportFlags(RunFlags):
  """The flags of the command."""

  checkpoint: str = checkpoint_setting('Write the weights of', REQUIRED)
  output: str = setting(
    REQUIRED,
    'Make this folder, or this file, which ends in .onnx or .stablehlo.',
  )
  joint_set: str | None = setting(
    None,
    'For a file of a network that lifts several joint sets: let it take this'
    ' one; coco, if none is given.',
  )
  benchmark: bool = setting(
    False, 'Measure the file, and print its speed beside that of JAX.'
  )


def export(flags: ExportFlags) -> None:
  """Writes what the flags name.

  Raises:
    UserError: A file is damaged, or a package missing; nothing is written.
    SettingError: A flag is wrong; nothing is written.
  """
  output = pathlib.Path(flags.output)
  ending = output.suffix.lower()
  if ending in ('.onnx', '.stablehlo'):
    _check_file(output)
    _write_file(flags, output, ending)
    return
  # Such as .v2 is no ending, but part of the name of a folder.
  if ending[1:].isalpha():
    raise SettingError(
      f'`output={output}`: end the name of a file in .onnx or .stablehlo, or'
      ' name a folder without an ending'
    )
  for name in ('joint_set', 'benchmark'):
    if getattr(flags, name):
      raise SettingError(
        f'`{name}`: is for a file; end `output` in .onnx or .stablehlo'
      )
  _write_folder(flags, output)


def _check_file(output: pathlib.Path) -> None:
  """Raises a SettingError where the file exists, or its folder does not."""
  if output.exists():
    raise SettingError(f'`output={output}`: exists; name a new file')
  check_output(output)


def _write_file(flags: ExportFlags, output: pathlib.Path, ending: str) -> None:
  """Writes a file, and prints how well it agrees with JAX."""
  # The imports are here, as a folder of weights is written sooner without them.
  from semgcn_jax.benchmarks import exported_files
  from semgcn_jax.export import onnx_files, programs, stablehlo_files

  network = restore_network(flags.checkpoint, flags.which)
  program = programs.make_program(
    network,
    flags.only_seed,
    flags.joint_set,
    _LICENCE if flags.checkpoint in weights.names() else '',
  )
  write = onnx_files.write if ending == '.onnx' else stablehlo_files.write
  difference = write(program, output)
  sizes = ', '.join(map(str, programs.CHECKED_SIZES))
  print(
    f'{output}: network of epoch {network.progress.epoch}; on batches of'
    f' {sizes} it differs from JAX by up to {difference:.1g} m'
  )
  if flags.benchmark:
    print(exported_files.compare(program, output, difference))


def _write_folder(flags: ExportFlags, output: pathlib.Path) -> None:
  """Writes the folder of weights."""
  network = restore_network(flags.checkpoint, flags.which)
  variables = network.of_seed(flags.only_seed)
  training = network.config.training
  seed = training.seed if flags.only_seed is None else flags.only_seed
  config = network.config.replace(seed=seed, num_seeds=1)
  save_weights(
    output, config, network.skeleton, variables, network.progress.epoch
  )
  print(f'{output}: weights of epoch {network.progress.epoch}')


main = functools.partial(run, __doc__, export, ExportFlags)
