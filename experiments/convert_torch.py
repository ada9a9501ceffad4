"""Converts checkpoints of the released PyTorch code; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.convert_torch()
