"""Measures training steps and predictions; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.benchmark()
