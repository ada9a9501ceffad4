"""Runs `python -m semgcn_jax COMMAND`, which is `semgcn COMMAND`."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.semgcn()
