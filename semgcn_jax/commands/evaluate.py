"""Scores a checkpoint of a run, and prints the errors of every action.

Settings default to those of the run.
"""

import dataclasses
import functools
import pathlib
from typing import Any

from semgcn_jax.commands import shared_flags
from semgcn_jax.commands.running import run
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.evaluate import evaluate
from semgcn_jax.evaluation.predictions import predict_clips
from semgcn_jax.evaluation.real import format_real, read_real, score_real
from semgcn_jax.evaluation.wild import format_wild, read_wild, score_wild
from semgcn_jax.figures.poses import draw_grid
from semgcn_jax.figures.style import DPI
from semgcn_jax.files import write_json, write_output
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.placing import require_h36m
from semgcn_jax.motion.upright import make_scenes
from semgcn_jax.runs.checkpoints import restore_network
from semgcn_jax.runs.folder import check_output


@dataclasses.dataclass(frozen=True)
class EvaluateFlags(shared_flags.CacheFlags, shared_flags.RunFlags):
  """The flags of the command."""

  settings = (
    *('data_dir', 'keypoints', 'actions', 'test_subjects', 'test_downsample'),
    *('cameras', 'image_dir', 'eval_batch_size', 'scale_calibration'),
    'flip_test',
  )
  checkpoint: str = shared_flags.checkpoint_setting('Score', REQUIRED)
  weights: str = setting(
    'averaged',
    'Use the averaged or the raw weights of a run that has both.',
    choices=('averaged', 'raw'),
  )
  baselines: bool = setting(
    False,
    'Score the mean and linear maps, fitted to the training pairs, beside the'
    ' network.',
  )
  output: str | None = setting(None, 'Write the scores to this JSON file.')
  figure: str | None = setting(
    None,
    'Draw test poses to this PNG file: the 2D, and the predicted and true 3D.',
  )
  wild: str | None = setting(
    None,
    'Score on this npz of keypoints from unknown cameras, which'
    " prepare_data.py --film writes, not on the run's dataset.",
  )
  real: str | None = setting(
    None,
    'Score on the real clips in this folder, whose layout docs/real.md'
    " describes, not on the run's dataset.",
  )
  use_focal: bool = setting(
    False, 'With --wild or --real, give the network the lens.'
  )
  solve: bool = setting(
    False, 'With --wild or --real, solve the clips as predict.py does.'
  )


def evaluate_run(flags: EvaluateFlags) -> None:
  """Scores the checkpoint that the flags name."""
  shared_flags.use_compilation_cache(flags)
  for name in ('output', 'figure'):
    if path := getattr(flags, name):
      check_output(pathlib.Path(path), name)
  if flags.wild and flags.real:
    raise SettingError('give either `wild` or `real`')
  if flags.wild:
    lifter = _lifter(flags, 'wild')
    arrays = read_wild(pathlib.Path(flags.wild))
    result = score_wild(
      lifter, arrays, use_focal=flags.use_focal, solve=flags.solve
    )
    print(format_wild(result))
  elif flags.real:
    lifter = _lifter(flags, 'real')
    clips = read_real(pathlib.Path(flags.real))
    result = score_real(
      lifter, clips, use_focal=flags.use_focal, solve=flags.solve
    )
    print(format_real(result))
  else:
    chosen: dict[str, Any] = {
      'averaged': flags.weights == 'averaged',
      'seed': flags.only_seed,
    }
    args = flags.checkpoint, flags.which, flags.given
    if flags.figure:
      clips = predict_clips(*args, **chosen)
      figure = draw_grid(make_scenes(clips))
      write_output(
        pathlib.Path(flags.figure),
        lambda path: figure.savefig(path, format='png', dpi=DPI),
        'figure',
      )
    result = evaluate(*args, **chosen, beside=flags.baselines)
  if flags.output:
    write_json(result, pathlib.Path(flags.output))


def _lifter(flags: EvaluateFlags, setting_name: str) -> Lifter:
  """Makes a lifter of the checkpoint, for keypoints that a setting names."""
  given = [
    *flags.given,
    *(name for name in ('figure', 'baselines') if getattr(flags, name)),
  ]
  if given:
    raise SettingError(f'`{given[0]}`: has no meaning with `{setting_name}`')
  network = restore_network(
    flags.checkpoint, flags.which, averaged=flags.weights == 'averaged'
  )
  require_h36m(network.skeleton, setting_name)
  return Lifter.of(network, flags.only_seed, flags.checkpoint)


main = functools.partial(run, __doc__, evaluate_run, EvaluateFlags)
