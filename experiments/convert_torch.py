"""Converts checkpoints of the released PyTorch code; see --help."""

import sys

from semgcn_jax.commands.convert_torch import main

if __name__ == '__main__':
  sys.exit(main())
