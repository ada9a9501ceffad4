"""Draws the graph that a run has learned.

python experiments/show_learned.py --checkpoint=runs/synthetic
"""

import pathlib

from absl import flags

from semgcn_jax import cli
from semgcn_jax.learned import show_learned

_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Folder of the run.')
_WHICH = flags.DEFINE_string('which', 'best', 'best, last, or an epoch.')
_ONLY_SEED = flags.DEFINE_integer(
  'only_seed', None, 'Which, of a run with several seeds; else the first.'
)
_OUTPUT_DIR = flags.DEFINE_string(
  'output_dir', None, 'Gets the figures; else the folder of the run.'
)
flags.mark_flag_as_required('checkpoint')


def main():
  checkpoint = pathlib.Path(_CHECKPOINT.value)
  show_learned(
    checkpoint,
    _WHICH.value,
    pathlib.Path(_OUTPUT_DIR.value or checkpoint),
    seed=_ONLY_SEED.value,
  )


if __name__ == '__main__':
  cli.run(main)
