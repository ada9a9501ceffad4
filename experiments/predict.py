"""Lifts keypoints of people to poses in 3D; see --help."""

from semgcn_jax.commands import entry

if __name__ == '__main__':
  entry.predict()
