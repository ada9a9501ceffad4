"""Writes the network of a run as a small folder of weights; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.export()
