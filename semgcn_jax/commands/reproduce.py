"""Retrains the methods that the flags of reproduce.py choose."""

import pathlib
import shlex

from semgcn_jax.commands.flags.reproduce import Flags
from semgcn_jax.commands.parsing import spelled
from semgcn_jax.commands.running import overlap_gpu_kernels
from semgcn_jax.paper.reproduce import reproduce

# Machine-specific flags, which the command line in the report omits.
_FOLDERS = (
  *('workdir', 'data_dir', 'compilation_cache', 'cameras', 'skeleton'),
  *('image_dir', 'backbone_weights', 'rendered_motions'),
)


def main(flags: Flags) -> None:
  """Retrains the methods that the flags choose."""
  overlap_gpu_kernels()
  given = sorted(({'tables': flags.tables} | flags.given).items())
  words = [spelled(*word) for word in given if word[0] not in _FOLDERS]
  reproduce(
    flags.presets,
    flags.tables,
    {name: value for name, value in flags.given.items() if name != 'preset'},
    pathlib.Path(flags.workdir),
    f'{flags.program} {shlex.join(words)}',
  )
