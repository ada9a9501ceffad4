"""Shows poses as a page, a picture or an animation; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.view()
