"""Bundled weights: a folder for each name, like a run folder."""

import pathlib

from semgcn_jax.errors import UserError, listed

_BUNDLED = pathlib.Path(__file__).parent


def names() -> list[str]:
  """Returns the names of the bundled weights."""
  return sorted(path.parent.name for path in _BUNDLED.glob('*/weights.npz'))


def are_bundled(folder: pathlib.Path) -> bool:
  """Returns whether a folder is one of the bundled weights."""
  return folder.parent == _BUNDLED


def find(checkpoint: str | pathlib.Path) -> pathlib.Path:
  """Finds the folder of bundled weights, or else of a run.

  Bundled weights win over a folder of the same name, which is then ./<name>.

  Raises:
    UserError: There is neither.
  """
  if isinstance(checkpoint, str) and checkpoint in names():
    return _BUNDLED / checkpoint
  folder = pathlib.Path(checkpoint)
  if not folder.is_dir():
    raise UserError(
      f'{folder}: is neither a run folder nor bundled weights'
      f' ({listed(names())})'
    )
  return folder
