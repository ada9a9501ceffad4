"""Scores a checkpoint of a run; see --help."""

import sys

from semgcn_jax.commands.predict import main

if __name__ == '__main__':
  sys.exit(main())
