"""Measures how fast CMU's motion files are read, on one core."""

import dataclasses
import functools
import pathlib

from semgcn_jax.benchmarks.motion_files import measure_reading
from semgcn_jax.commands.parsing import Flags
from semgcn_jax.commands.running import run
from semgcn_jax.config.fields import REQUIRED, setting


@dataclasses.dataclass(frozen=True)
class BenchmarkAmcFlags(Flags):
  """The flags of the command."""

  asf: str = setting(REQUIRED, 'Read the skeleton of this file.')
  amc: str = setting(REQUIRED, 'Read the motion of this file, repeated.')
  megabytes: int = setting(50, 'Repeat the motion to this many megabytes.')


def benchmark_amc(flags: BenchmarkAmcFlags) -> None:
  """Measures the reading of the files that the flags name."""
  asf, amc = pathlib.Path(flags.asf), pathlib.Path(flags.amc)
  print(measure_reading(asf, amc, flags.megabytes))


main = functools.partial(run, __doc__, benchmark_amc, BenchmarkAmcFlags)
