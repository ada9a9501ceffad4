"""Draws the graph that a run has learned; see --help."""

import sys

from semgcn_jax.commands.show_learned import main

if __name__ == '__main__':
  sys.exit(main())
