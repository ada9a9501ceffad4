"""From the files that one can download to the files that training reads."""

import concurrent.futures
import multiprocessing
import pathlib
import re
import tempfile
from collections.abc import Sequence

import rich.console
import rich.progress

from semgcn_jax.data.npz import Poses3D, write_poses_3d
from semgcn_jax.errors import FlagError, UserError
from semgcn_jax.prepare import cmu
from semgcn_jax.prepare.archives import unpack_zip

_CMU_MEMBER = re.compile(r'(?:[^/]+/)*(\d+)/(\d+\.asf|\d+_\d+\.amc)')


def prepare_cmu(
  source: pathlib.Path,
  output_dir: pathlib.Path,
  *,
  fps: float,
  benchmark: bool,
  rates: pathlib.Path | None,
  overwrite: bool,
) -> pathlib.Path:
  """Converts the CMU database's own files to data_3d_cmu.npz.

  Args:
    source: its tree of subjects/NN/NN_MM.amc, or a zip of it.
    output_dir: gets the file.
    fps: frames per second to keep.
    benchmark: only the clips of the benchmark.
    rates: CSV of clips whose rate is not 120.
    overwrite: replace a file that is there.

  Returns:
    The file.

  Raises:
    FlagError: a file is there, or the source is not the database.
    UserError: damaged files; nothing is written.
  """
  output = output_dir / 'data_3d_cmu.npz'
  if output.exists() and not overwrite:
    raise FlagError(f'{output}: exists; replace it with --overwrite')
  if fps <= 0:
    raise FlagError(f'--fps={fps:g}: must be above 0')
  given_rates = cmu.read_rates(rates) if rates else {}
  with tempfile.TemporaryDirectory() as unpacked:
    folder = source
    if source.is_file():
      folder = pathlib.Path(unpacked) / 'subjects'
      folder.mkdir()
      unpack_zip(source, _CMU_MEMBER, folder)
    tree = cmu.find_tree(folder) if folder.is_dir() else None
    if tree is None:
      raise FlagError(
        f'--source={source}: not the CMU database; give its folder subjects/,'
        ' with NN/NN.asf and NN/NN_MM.amc, or a zip of it'
      )
    clips = cmu.find_clips(
      tree, fps=fps, benchmark=benchmark, rates=given_rates
    )
    poses = _convert_all(clips)
  write_poses_3d(poses, output)
  _print_summary(poses, output)
  return output


def _convert_all(clips: Sequence[cmu.Clip]) -> Poses3D:
  """Every clip, by as many processes as cores."""
  poses: Poses3D = {}
  console = rich.console.Console(highlight=False)
  # Most of the time goes into parsing text, which holds Python's lock. Spawned:
  # a fork of a program that runs threads, as JAX does, can hang.
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(mp_context=context) as pool:
    converted = pool.map(cmu.convert, clips)
    shown = rich.progress.track(
      zip(clips, converted, strict=True),
      'converting',
      total=len(clips),
      console=console,
      disable=not console.is_terminal,
      transient=True,
    )
    try:
      for clip, frames in shown:
        poses.setdefault(clip.subject, {})[clip.action] = frames
    except UserError:
      pool.shutdown(cancel_futures=True)
      raise
  return poses


def _print_summary(poses: Poses3D, output: pathlib.Path) -> None:
  print(f'{"subject":10}{"actions":>9}{"frames":>9}')
  for subject, actions in poses.items():
    frames = sum(map(len, actions.values()))
    print(f'{subject:10}{len(actions):9,}{frames:9,}')
  actions = [frames for clips in poses.values() for frames in clips.values()]
  print(f'{"all":10}{len(actions):9,}{sum(map(len, actions)):9,}')
  print(f'{output}: {len(poses)} subjects, metres, z up')
