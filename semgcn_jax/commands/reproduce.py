"""Retrains the methods in the paper's tables, and compares them."""

import dataclasses
import functools
import pathlib
import shlex
import sys
from collections.abc import Sequence

from semgcn_jax.commands.parsing import EVERY_SETTING, spelled
from semgcn_jax.commands.running import program_name, run
from semgcn_jax.commands.shared_flags import CacheFlags, use_compilation_cache
from semgcn_jax.config import Config
from semgcn_jax.config.fields import setting
from semgcn_jax.paper.reproduce import reproduce

# Machine-specific flags, which the command line in the report omits.
_FOLDERS = (
  *('workdir', 'data_dir', 'compilation_cache', 'cameras', 'skeleton'),
  *('image_dir', 'backbone_weights', 'rendered_motions'),
)


@dataclasses.dataclass(frozen=True)
class ReproduceFlags(CacheFlags):
  """The flags of the command."""

  settings = EVERY_SETTING
  tables: tuple[str, ...] = setting(
    ('1', '3'),
    'Retrain the methods in these tables of the paper: 1 and 3 (given the 2D)'
    ' or 2 (from images); or newer ones: video (see time), or convolutions.',
  )
  workdir: str = setting(
    'runs/reproduce', 'Keep the runs and the report in this folder.'
  )


def retrain(flags: ReproduceFlags, program: str) -> None:
  """Retrains the methods that the flags choose.

  Args:
    flags: The flags; --preset may be a comma-separated list.
    program: The program, argv[0].
  """
  use_compilation_cache(flags)
  overrides = dict(flags.given)
  presets = overrides.pop('preset', Config.preset).split(',')
  given = sorted(({'tables': flags.tables} | flags.given).items())
  words = [spelled(*word) for word in given if word[0] not in _FOLDERS]
  reproduce(
    presets,
    flags.tables,
    overrides,
    pathlib.Path(flags.workdir),
    f'{program_name(program)} {shlex.join(words)}',
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  argv = sys.argv if argv is None else argv
  command = functools.partial(retrain, program=argv[0])
  return run(__doc__, command, ReproduceFlags, argv)
