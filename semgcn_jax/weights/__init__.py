"""Weights in the box: a folder for each name, like the folder of a run."""

import pathlib

_BOX = pathlib.Path(__file__).parent


def names() -> list[str]:
  """Names the weights in the box."""
  return sorted(path.parent.name for path in _BOX.glob('*/weights.npz'))


def find(checkpoint: str | pathlib.Path) -> pathlib.Path:
  """Finds the folder of weights in the box, or else of a run.

  A name in the box wins over a folder of this name, which is then ./<name>.
  """
  if isinstance(checkpoint, str) and checkpoint in names():
    return _BOX / checkpoint
  return pathlib.Path(checkpoint)
