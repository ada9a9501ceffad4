"""Retrains the methods of the paper's tables and compares them; see --help."""

import sys

from semgcn_jax.commands.reproduce import main

if __name__ == '__main__':
  sys.exit(main())
