"""Scores a checkpoint of a run; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.evaluate()
