"""Scores a run: `python experiments/evaluate.py --checkpoint=runs/h36m`."""

import pathlib

from absl import flags

from semgcn_jax import cli
from semgcn_jax.evaluate import check_output, evaluate_run, write_json

cli.define_config_flags(
  *('data_dir', 'keypoints', 'actions', 'test_subjects', 'test_downsample'),
  *('cameras', 'eval_batch_size', 'scale_calibration', 'flip_test'),
)
cli.define_cache_flag()
_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Folder of the run.')
_WHICH = flags.DEFINE_string('which', 'best', 'best, last, or an epoch.')
_WEIGHTS = flags.DEFINE_enum(
  'weights', 'averaged', ['averaged', 'raw'], 'Which, of a run that has both.'
)
_ONLY_SEED = flags.DEFINE_integer(
  'only_seed', None, 'Of a run with several seeds only this one; else all.'
)
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write.')
flags.mark_flag_as_required('checkpoint')


def main():
  cli.use_compilation_cache()
  if _OUTPUT.value:
    check_output(pathlib.Path(_OUTPUT.value))
  result = evaluate_run(
    pathlib.Path(_CHECKPOINT.value),
    _WHICH.value,
    cli.config_flags(),
    averaged=_WEIGHTS.value == 'averaged',
    seed=_ONLY_SEED.value,
  )
  if _OUTPUT.value:
    write_json(result, pathlib.Path(_OUTPUT.value))


if __name__ == '__main__':
  cli.run(main)
