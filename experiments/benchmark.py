"""Measures training steps and predictions; see --help."""

import sys

from semgcn_jax.commands.benchmark import main

if __name__ == '__main__':
  sys.exit(main())
