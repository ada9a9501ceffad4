"""Converts checkpoints of the released PyTorch code to runs, or the reverse.

With --backbone it converts a ResNet of torchvision, such as one trained on
ImageNet, to the npz that train.py takes by --backbone_weights.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags
from flax import traverse_util

from semgcn_jax.commands.parsing import (
  config_flags,
  define_config_flags,
  define_which_flags,
)
from semgcn_jax.commands.running import run
from semgcn_jax.errors import SettingError
from semgcn_jax.export.backbone_weights import read_backbone
from semgcn_jax.export.torch_runs import export_run, import_run
from semgcn_jax.files import check_output, write_output


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_config_flags(values)
  define_which_flags(values)
  flags.DEFINE_string(
    'input',
    None,
    'Convert this checkpoint, or with --to_torch this run folder, or with'
    ' --backbone this file of weights (.pth, .safetensors).',
    flag_values=values,
  )
  flags.DEFINE_string(
    'output',
    None,
    'Make this run folder, or with --to_torch or --backbone this file.',
    flag_values=values,
  )
  flags.DEFINE_bool(
    'to_torch', False, 'Convert a run to a checkpoint.', flag_values=values
  )
  flags.mark_flags_as_required(['input', 'output'], flag_values=values)


def convert(values: flags.FlagValues) -> None:
  """Converts what the flags name."""
  source, output = pathlib.Path(values.input), pathlib.Path(values.output)
  if values.backbone:
    _convert_backbone(source, output, values.backbone)
  elif values.to_torch:
    export_run(source, values.which, output, values.only_seed)
  else:
    import_run(source, output, config_flags(values))


def _convert_backbone(
  source: pathlib.Path, output: pathlib.Path, name: str
) -> None:
  """Converts the weights of a backbone.

  Raises:
    SettingError: The output is no npz, exists, or cannot be written.
    UserError: The file is damaged, or of another network.
  """
  if output.suffix != '.npz':
    raise SettingError(f'`output={output}`: must end with .npz')
  if output.exists():
    raise SettingError(f'`output={output}`: exists; name a new file')
  check_output(output)
  variables = read_backbone(source, name)
  arrays: dict[str, Any] = traverse_util.flatten_dict(variables, sep='/')

  def write(path):
    with open(path, 'wb') as file:
      np.savez(file, **arrays)

  write_output(output, write)
  print(f'{output}: the weights of {name}; give them by --backbone_weights')


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, convert, argv)
