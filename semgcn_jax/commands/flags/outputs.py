"""The flags of commands that write clips or another file to --output."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from semgcn_jax.commands.flags.shared import CacheFlags, RunFlags
from semgcn_jax.commands.parsing import Flags
from semgcn_jax.config.choices import BVH_UNITS, PITCH, RIG_NAMES
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError, listed
from semgcn_jax.files import split_paths
from semgcn_jax.runs.folder import check_output


def output_setting(
  endings: Iterable[str], more: str = '', default: Any = REQUIRED
) -> Any:
  """Declares --output of a command that writes files of these formats."""
  return setting(
    default,
    f'Write this file, in the format of its ending: {listed(endings)}; or'
    f' several, with commas between them.{more}',
  )


@dataclasses.dataclass(frozen=True)
class OutputFlags(Flags):
  """The flags of `check_output_flags`."""

  output: str = setting(REQUIRED, 'Write to this file.')
  overwrite: bool = setting(False, 'Replace the output if it exists.')


@dataclasses.dataclass(frozen=True)
class ClipFlags(OutputFlags, CacheFlags, RunFlags):
  """The flags of commands that write clips, see `outputs.write_chosen`."""

  clip: str = setting('', 'Write only this clip; if empty, all of them.')
  person: str = setting('', 'Write only this person; if empty, everybody.')
  joint_names: str = setting(
    'h36m', 'Use this naming of joints in .bvh and .glb.', choices=RIG_NAMES
  )
  bvh_unit: str = setting(
    'cm', 'Write lengths in .bvh in this unit.', choices=BVH_UNITS
  )
  pitch: float | None = setting(
    None,
    'Set how many degrees the camera looks down; by default, this is estimated'
    ' from the people.',
    PITCH,
  )


def check_rig_flags(flags: ClipFlags, names: Iterable[str]) -> None:
  """Raises a SettingError if the outputs have nothing that a flag is for.

  Args:
    flags: The flags.
    names: The names of the outputs, or their endings.
  """
  names = tuple(names)
  for flag, endings in (
    ('joint_names', ('.bvh', '.glb')),
    ('bvh_unit', ('.bvh',)),
  ):
    changed = getattr(flags, flag) != getattr(ClipFlags, flag)
    if changed and not any(name.endswith(endings) for name in names):
      raise SettingError(
        f'`{flag}`: has no meaning without {" or ".join(endings)} in the output'
      )


def check_output_flags(
  flags: OutputFlags, endings: Iterable[str], inputs: Iterable[str | None] = ()
) -> tuple[pathlib.Path, ...]:
  """Checks the outputs before the work begins, and returns their paths.

  Args:
    flags: The flags.
    endings: The endings that the outputs may have.
    inputs: The files and folders that are read, which they must not replace.

  Raises:
    SettingError: An output exists, cannot be written, is named twice, or would
      replace what is read.
  """
  endings = tuple(endings)
  paths = split_paths(flags.output, endings, 'output')
  for path in paths:
    _check_path(path, flags, endings, inputs)
  if len({*paths}) < len(paths):
    raise SettingError(f'`output={flags.output}`: names a file twice')
  return paths


def _check_path(
  output: pathlib.Path,
  flags: OutputFlags,
  endings: Iterable[str],
  inputs: Iterable[str | None],
) -> None:
  """Checks an output of `check_output_flags`."""
  check_output(output)
  if not output.name.endswith(tuple(endings)):
    raise SettingError(f'`output={output}`: must end with {listed(endings)}')
  if output.exists() and not flags.overwrite:
    raise SettingError(f'`output={output}`: exists; give `overwrite`')
  for path in filter(None, inputs):
    if output.exists() and _holds(pathlib.Path(path), output):
      raise SettingError(
        f'`output={output}`: would replace what is read; name another file'
      )


def _holds(path: pathlib.Path, file: pathlib.Path) -> bool:
  """Whether a path is this file, by any name, or a folder that holds it."""
  if path.is_dir():
    folders = pathlib.Path(os.path.realpath(file)).parents
    return any(folder.samefile(path) for folder in folders)
  return path.exists() and path.samefile(file)


def is_folder(output: str) -> bool:
  """Whether an output names a folder: an existing one, or with a slash."""
  return output.endswith(('/', '\\')) or os.path.isdir(output)
