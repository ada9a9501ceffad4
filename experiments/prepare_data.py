"""Makes the files that training reads from downloaded ones; see --help."""

import sys

from semgcn_jax.commands.prepare_data import main

if __name__ == '__main__':
  sys.exit(main())
