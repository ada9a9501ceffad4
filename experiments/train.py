"""Trains a model and scores it after every epoch; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.train()
