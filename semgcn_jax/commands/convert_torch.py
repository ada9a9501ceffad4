"""Converts what the flags of convert_torch.py name."""

import pathlib
from typing import Any

import numpy as np
from flax import traverse_util

from semgcn_jax.commands.flags.convert_torch import Flags
from semgcn_jax.errors import SettingError
from semgcn_jax.export.backbone_weights import read_backbone
from semgcn_jax.export.torch_runs import export_run, import_run
from semgcn_jax.files import write_output
from semgcn_jax.runs.folder import check_output


def main(flags: Flags) -> None:
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
