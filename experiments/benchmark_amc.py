"""Measures how fast CMU's motion files are read; see --help."""

import sys

from semgcn_jax.commands.benchmark_amc import main

if __name__ == '__main__':
  sys.exit(main())
