"""Scores a checkpoint of a run and prints the errors of every action.

Settings that are not given are those of the run.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from semgcn_jax.commands.parsing import (
  config_flags,
  define_cache_flag,
  define_checkpoint_flag,
  define_config_flags,
  define_which_flags,
)
from semgcn_jax.commands.running import run, use_compilation_cache
from semgcn_jax.evaluation.evaluate import evaluate_run
from semgcn_jax.figures.poses import draw_run
from semgcn_jax.files import check_output, write_json


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_config_flags(
    values,
    *('data_dir', 'keypoints', 'actions', 'test_subjects', 'test_downsample'),
    *('cameras', 'eval_batch_size', 'scale_calibration', 'flip_test'),
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
  flags.mark_flag_as_required('checkpoint', flag_values=values)


def evaluate(values: flags.FlagValues) -> None:
  """Scores the checkpoint that the flags name."""
  use_compilation_cache(values)
  for name in ('output', 'figure'):
    if path := values[name].value:
      check_output(pathlib.Path(path), name)
  averaged = values.weights == 'averaged'
  if values.figure:
    draw_run(
      pathlib.Path(values.checkpoint),
      values.which,
      pathlib.Path(values.figure),
      config_flags(values),
      averaged=averaged,
      seed=values.only_seed,
    )
  result = evaluate_run(
    pathlib.Path(values.checkpoint),
    values.which,
    config_flags(values),
    averaged=averaged,
    seed=values.only_seed,
  )
  if values.output:
    write_json(result, pathlib.Path(values.output))


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, evaluate, argv)
