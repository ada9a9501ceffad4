"""Runs a command's work for each source in a folder, into another folder."""

import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rich.console
import rich.progress

from semgcn_jax.commands.outputs import check_programs
from semgcn_jax.detections.clip_files import find_clips
from semgcn_jax.errors import SettingError, UserError, counted, shortened
from semgcn_jax.files import is_of_macos
from semgcn_jax.pictures import images, videos

# {the name of a source: its files}.
Sources = Mapping[str, Sequence[pathlib.Path]]
_NAMED = 5  # The broken sources to name; all are counted.


def find_sources(kind: str, path: pathlib.Path) -> Sources:
  """Finds the sources in a folder; a file is the only one.

  Args:
    kind: What to look for: 'detections', 'image' or 'video'.
    path: A file or folder.

  Returns:
    {the name of each source: its files}.

  Raises:
    UserError: There are none.
  """
  if kind == 'detections':
    return find_clips(path)
  if not path.is_dir():
    return {path.stem: [path]}
  endings = images.ENDINGS if kind == 'image' else videos.ENDINGS
  found: dict[str, list[pathlib.Path]] = {}
  for file in sorted(path.iterdir()):
    if file.suffix.lower() not in endings or is_of_macos(file.name):
      continue
    if file.stem in found:
      raise UserError(
        f'{file}: {found[file.stem][0].name} would have the same output; rename'
        ' one'
      )
    found[file.stem] = [file]
  if not found:
    raise UserError(f'{path}: holds no {kind}s ({", ".join(endings)})')
  return found


def run_each(
  sources: Sources,
  output: pathlib.Path,
  formats: Sequence[str],
  work: Callable[[str, Sequence[pathlib.Path], tuple[pathlib.Path, ...]], Any],
  *,
  overwrite: bool = False,
) -> None:
  """Does the work for each source whose outputs are not there yet.

  Broken sources do not stop the others.

  Args:
    sources: The sources by name, see `find_sources`.
    output: The folder to write to, which is created.
    formats: The endings of the outputs of each source.
    work: Does the work, given the name and the files of a source, and the files
      to write.
    overwrite: Whether to write all files again.

  Raises:
    SettingError: The folder cannot be written, holds what is read, or a setting
      is wrong, which the first source shows.
    UserError: Some sources are broken; it names them.
  """
  check_programs(output / f'any{ending}' for ending in formats)
  outputs = {
    name: [output / f'{name}{ending}' for ending in formats] for name in sources
  }
  _check_apart(output, sources, outputs)
  waiting = {}
  for name, source in sources.items():
    paths = tuple(p for p in outputs[name] if overwrite or not p.exists())
    if paths:
      waiting[name] = source, paths
  if done := len(sources) - len(waiting):
    print(f'{counted(done, "source")} in {output} already; skipped')
  broken, began = [], False
  console = rich.console.Console(file=sys.stderr)
  for name, (source, paths) in rich.progress.track(
    waiting.items(),
    'lifting',
    len(waiting),
    console=console,
    transient=True,
    disable=not console.is_terminal,
  ):
    try:
      _make_folder(paths[0].parent, output)
      work(name, source, paths)
    except UserError as error:
      if isinstance(error, SettingError) and not began:
        raise
      broken.append(f'{name} ({shortened(str(error), 200)})')
    began = True
  if broken:
    more = len(broken) - _NAMED
    raise UserError(
      f'{len(broken)} of {counted(len(sources), "source")} not done: '
      + '; '.join(broken[:_NAMED])
      + (f'; and {more} more' if more > 0 else '')
    )


def _make_folder(folder: pathlib.Path, output: pathlib.Path) -> None:
  """Creates a folder in the output; a SettingError says why it cannot be."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise SettingError(f'`output={output}`: {error.strerror}') from error


def _check_apart(
  output: pathlib.Path,
  sources: Sources,
  outputs: Mapping[str, Sequence[pathlib.Path]],
) -> None:
  """Raises a SettingError if outputs would be among the sources."""

  def folders(paths_of):
    return {
      os.path.realpath(path.parent)
      for paths in paths_of.values()
      for path in paths
    }

  if folders(sources) & folders(outputs):
    raise SettingError(
      f'`output={output}`: holds what is read; name another folder'
    )
