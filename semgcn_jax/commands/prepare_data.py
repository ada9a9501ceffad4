"""Makes or checks the files that the flags of prepare_data.py name."""

import pathlib

from semgcn_jax.commands.flags.prepare_data import Flags
from semgcn_jax.prepare.convert import prepare
from semgcn_jax.prepare.film import film
from semgcn_jax.prepare.verify import verify


def main(flags: Flags) -> None:
  """Writes or checks files, as the flags say."""
  if flags.film:
    assert flags.output is not None  # See `Flags.validate`.
    output = pathlib.Path(flags.output)
    poses = pathlib.Path(flags.film)
    film(poses, output, subjects=flags.subjects, seed=flags.seed)
  elif flags.verify:
    folder = pathlib.Path(flags.verify)
    verify(folder, cameras=flags.cameras, skeleton=flags.skeleton)
  elif flags.source:
    prepare(pathlib.Path(flags.source), pathlib.Path(flags.output_dir), flags)
