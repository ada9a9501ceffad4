"""What a hostile file holds: it would make a folder, if it were run."""

import os


class Hostile:
  """Pickles as a call that makes the folder `path`."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (self.path,)
