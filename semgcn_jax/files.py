"""Writes files so that nothing is lost when writing fails."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from semgcn_jax.errors import SettingError


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a text file, as a whole or not at all; see `replacing`."""
  with replacing(path) as temporary:
    temporary.write_text(text)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Gives a temporary path to write to, and moves it to `path` at the end.

  Several processes may replace the same file at once: each writes under a name
  of its own, and the last one to finish wins.

  Raises:
    OSError: The file cannot be written; what was at `path` stays.
  """
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    yield temporary
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)


def check_output(path: pathlib.Path, setting: str = 'output') -> None:
  """Raises a SettingError where the file that a setting names has no folder."""
  if path.is_dir() or not path.parent.is_dir():
    raise SettingError(f'`{setting}={path}`: name a file in an existing folder')


def write_json(result: dict[str, Any], path: pathlib.Path) -> None:
  """Writes a result as JSON to the file that the setting `output` names.

  Raises:
    SettingError: The file cannot be written.
  """
  check_output(path)
  try:
    write_text(path, json.dumps(result, indent=2) + '\n')
  except OSError as error:
    raise SettingError(f'`output={path}`: {error.strerror}') from error
