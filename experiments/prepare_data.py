"""Makes the files that training reads from those that one can download.

python experiments/prepare_data.py --source=cmu/subjects --output_dir=data
"""

import pathlib

from absl import flags

from semgcn_jax import cli
from semgcn_jax.prepare import prepare_cmu

_SOURCE = flags.DEFINE_string(
  'source', None, 'The CMU database: its folder subjects/, or a zip of it.'
)
_OUTPUT_DIR = flags.DEFINE_string('output_dir', 'data', 'Gets the files.')
_FPS = flags.DEFINE_float('fps', 10, 'Frames per second to keep.')
_RATES = flags.DEFINE_string(
  'rates', None, 'CSV of clips, and frames per second where not 120.'
)
_CLIPS = flags.DEFINE_enum(
  'clips', 'benchmark', ['benchmark', 'all'], 'Which motions to convert.'
)
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace files.')
flags.mark_flag_as_required('source')


def main():
  prepare_cmu(
    pathlib.Path(_SOURCE.value),
    pathlib.Path(_OUTPUT_DIR.value),
    fps=_FPS.value,
    benchmark=_CLIPS.value == 'benchmark',
    rates=pathlib.Path(_RATES.value) if _RATES.value else None,
    overwrite=_OVERWRITE.value,
  )


if __name__ == '__main__':
  cli.run(main)
