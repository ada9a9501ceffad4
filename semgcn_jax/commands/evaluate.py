"""Scores a checkpoint of a run and prints the errors of every action.

Settings that are not given are those of the run.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from semgcn_jax.commands.parsing import (
  config_flags,
  define_cache_flag,
  define_checkpoint_flag,
  define_config_flags,
  define_which_flags,
)
from semgcn_jax.commands.running import run, use_compilation_cache
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.evaluate import evaluate_run
from semgcn_jax.evaluation.test_clips import predict_clips
from semgcn_jax.evaluation.wild import format_wild, read_wild, score_wild
from semgcn_jax.figures.poses import draw_grid
from semgcn_jax.figures.style import DPI
from semgcn_jax.files import check_output, write_json, write_output
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.motion.upright import make_scenes
from semgcn_jax.runs.checkpoints import restore_network


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_config_flags(
    values,
    *('data_dir', 'keypoints', 'actions', 'test_subjects', 'test_downsample'),
    *('cameras', 'image_dir', 'eval_batch_size', 'scale_calibration'),
    'flip_test',
  )
  define_cache_flag(values)
  define_which_flags(values)
  define_checkpoint_flag(values, 'Score', default=None)
  flags.DEFINE_enum(
    'weights',
    'averaged',
    ['averaged', 'raw'],
    'Take the averaged or the raw weights of a run that has both.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'output', None, 'Write the scores to this JSON file.', flag_values=values
  )
  flags.DEFINE_string(
    'figure',
    None,
    'Draw test poses to this PNG file: their 2D, and their predicted and true'
    ' 3D.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'wild',
    None,
    'Score on the keypoints of unknown cameras in this npz, which'
    ' prepare_data.py --film makes, not on the dataset of the run.',
    flag_values=values,
  )
  flags.DEFINE_bool(
    'use_focal',
    False,
    'With --wild, tell the network the focal lengths.',
    flag_values=values,
  )
  flags.mark_flag_as_required('checkpoint', flag_values=values)


def evaluate(values: flags.FlagValues) -> None:
  """Scores the checkpoint that the flags name."""
  use_compilation_cache(values)
  for name in ('output', 'figure'):
    if path := values[name].value:
      check_output(pathlib.Path(path), name)
  averaged = values.weights == 'averaged'
  if values.wild:
    result = evaluate_wild(values, averaged)
    if values.output:
      write_json(result, pathlib.Path(values.output))
    return
  if values.figure:
    clips = predict_clips(
      values.checkpoint,
      values.which,
      config_flags(values),
      averaged=averaged,
      seed=values.only_seed,
    )
    figure = draw_grid(make_scenes(clips))
    write_output(
      pathlib.Path(values.figure),
      lambda path: figure.savefig(path, format='png', dpi=DPI),
      'figure',
    )
  result = evaluate_run(
    values.checkpoint,
    values.which,
    config_flags(values),
    averaged=averaged,
    seed=values.only_seed,
  )
  if values.output:
    write_json(result, pathlib.Path(values.output))


def evaluate_wild(values: flags.FlagValues, averaged: bool) -> dict[str, Any]:
  """Scores the checkpoint on keypoints of unknown cameras.

  Raises:
    SettingError: A flag has no meaning for them.
  """
  given = [*config_flags(values), *(['figure'] if values.figure else [])]
  if given:
    raise SettingError(f'`{given[0]}`: has no meaning with `wild`')
  arrays = read_wild(pathlib.Path(values.wild))
  network = restore_network(values.checkpoint, values.which, averaged=averaged)
  lifter = Lifter.of(network, values.only_seed, values.checkpoint)
  result = score_wild(lifter, arrays, use_focal=values.use_focal)
  print(format_wild(result))
  return result


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, evaluate, argv)
