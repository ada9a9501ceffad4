"""Writing files so that nothing is lost when writing fails."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a text file; see `replacing`."""
  with replacing(path) as temporary:
    temporary.write_text(text)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Gives a temporary name beside `path`; what is written there takes its place
  when all went well.

  Processes that write the same file do not meet: the last one's is there.

  Raises:
    OSError: it cannot be written; `path` is as it was.
  """
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    yield temporary
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)
