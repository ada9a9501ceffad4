"""Measures how fast CMU's motion files are read; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.benchmark_amc()
