"""Writing files so that nothing is lost when writing fails."""

import contextlib
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Gives a temporary name beside `path`; what is written there takes its place
  when all went well.

  Raises:
    OSError: it cannot be written; `path` is as it was.
  """
  temporary = path.with_name(f'.{path.name}.tmp')
  try:
    yield temporary
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)
