"""Makes the files that training reads from downloaded ones; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.prepare_data()
