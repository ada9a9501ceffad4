"""Converts checkpoints of the released PyTorch code to runs, and back.

With --backbone, it converts a torchvision ResNet, such as one trained on
ImageNet, to the npz for train.py's --backbone_weights.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np
from flax import traverse_util

from semgcn_jax.commands.parsing import EVERY_SETTING
from semgcn_jax.commands.running import run
from semgcn_jax.commands.shared_flags import RunFlags
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.export.backbone_weights import read_backbone
from semgcn_jax.export.torch_runs import export_run, import_run
from semgcn_jax.files import write_output
from semgcn_jax.runs.folder import check_output


@dataclasses.dataclass(frozen=True)
class ConvertFlags(RunFlags):
  """The flags of the command."""

  settings = EVERY_SETTING
  input: str = setting(
    REQUIRED,
    'Convert this checkpoint; with --to_torch, this run folder; with'
    ' --backbone, this weights file (.pth, .safetensors).',
  )
  output: str = setting(
    REQUIRED, 'Write this run folder; with --to_torch or --backbone, this file.'
  )
  to_torch: bool = setting(False, 'Convert a run to a checkpoint.')


def convert(flags: ConvertFlags) -> None:
  """Converts what the flags name."""
  source, output = pathlib.Path(flags.input), pathlib.Path(flags.output)
  if backbone := flags.given.get('backbone'):
    _convert_backbone(source, output, backbone)
  elif flags.to_torch:
    export_run(source, flags.which, output, flags.only_seed)
  else:
    import_run(source, output, flags.given)


def _convert_backbone(
  source: pathlib.Path, output: pathlib.Path, name: str
) -> None:
  """Converts the weights of a backbone."""
  if output.suffix != '.npz':
    raise SettingError(f'`output={output}`: must end with .npz')
  check_output(output, new=True)
  variables = read_backbone(source, name)
  arrays: dict[str, Any] = traverse_util.flatten_dict(variables, sep='/')

  def write(path):
    with open(path, 'wb') as file:
      np.savez(file, **arrays)

  write_output(output, write)
  print(f'{output}: weights of {name}, for --backbone_weights')


main = functools.partial(run, __doc__, convert, ConvertFlags)
