"""Trains a model and scores it after every epoch; see --help."""

import sys

from semgcn_jax.commands.train import main

if __name__ == '__main__':
  sys.exit(main())
