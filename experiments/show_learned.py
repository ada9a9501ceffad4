"""Draws the graph that a run has learned; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.show_learned()
