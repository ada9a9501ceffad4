"""Converts downloaded files to the files that training reads.

With --verify, it only checks files: what they hold, and whether training can
use them. With --film, it films poses by unknown cameras.
"""

import dataclasses
import pathlib

from semgcn_jax.commands import parsing
from semgcn_jax.commands.flags.shared import check_exists
from semgcn_jax.config.fields import NOT_NEGATIVE, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.prepare.options import Options
from semgcn_jax.runs.folder import check_output


@dataclasses.dataclass(frozen=True)
class Flags(parsing.Flags, Options):
  """The flags of the command, including those of a conversion."""

  renamed = {'keypoints': 'detections_name'}
  source: str | None = setting(
    None,
    'Convert this archive, or folder of files and archives: Human3.6M, its'
    " stacked hourglass detections, the CMU database, or a detector's output.",
  )
  output_dir: str = setting('data', 'Write the files to this folder.')
  verify: str | None = setting(
    None, 'Check the files in this folder, and write none.'
  )
  film: str | None = setting(
    None,
    "Film the poses of this data_3d_*.npz as a detector's keypoints in unknown"
    " cameras, and write them to --output, for evaluate.py's --wild.",
  )
  output: str | None = setting(None, 'With --film, write this npz.')
  subjects: tuple[str, ...] = setting(
    (), 'With --film, film these subjects; if empty, all.'
  )
  seed: int = setting(0, 'With --film, seed the cameras.', NOT_NEGATIVE)
  cameras: str = setting(
    '', 'With --verify, check your own dataset with the cameras in this JSON.'
  )
  skeleton: str = setting(
    'h36m',
    'With --verify, check your own dataset with this skeleton (a name or JSON'
    ' file).',
  )

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    given = [path for path in (self.source, self.verify, self.film) if path]
    if len(given) != 1:
      raise SettingError(
        'give `source` to make files, `verify` to check files, or `film` to'
        ' film poses'
      )
    if self.film:
      if not self.output:
        raise SettingError('`output`: name the npz to write')
      output = pathlib.Path(self.output)
      if output.exists() and not self.overwrite:
        raise SettingError(f'`output={output}`: exists; give `overwrite`')
      check_output(output)
      check_exists('film', self.film)
    if self.source:
      check_exists('source', self.source)
