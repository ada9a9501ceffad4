"""Retrains the methods of the paper's tables and compares them; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.reproduce()
