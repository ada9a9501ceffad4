"""Makes a page in which one drags keypoints; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.demo()
