"""Measures how fast CMU's motion files are read, on one core."""

import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax.benchmarks.motion_files import measure_reading
from semgcn_jax.commands.running import run


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  flags.DEFINE_string(
    'asf', None, 'Read the skeleton of this file.', flag_values=values
  )
  flags.DEFINE_string(
    'amc', None, 'Read the motion of this file, repeated.', flag_values=values
  )
  flags.DEFINE_integer(
    'megabytes',
    50,
    'Repeat the motion to this many megabytes.',
    flag_values=values,
  )
  flags.mark_flags_as_required(['asf', 'amc'], flag_values=values)


def benchmark_amc(values: flags.FlagValues) -> None:
  """Measures the reading of the files that the flags name."""
  asf, amc = pathlib.Path(values.asf), pathlib.Path(values.amc)
  print(measure_reading(asf, amc, values.megabytes))


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, benchmark_amc, argv)
