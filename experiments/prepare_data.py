"""Makes the files that training reads from those that one can download.

python experiments/prepare_data.py --source=cmu/subjects --output_dir=data
python experiments/prepare_data.py --verify=data
"""

import pathlib

from absl import flags

from semgcn_jax import cli
from semgcn_jax.errors import FlagError
from semgcn_jax.prepare import Options, prepare
from semgcn_jax.prepare.verify import verify

_SOURCE = flags.DEFINE_string(
  'source',
  None,
  'An archive, or a folder of files and archives: Human3.6M, its stacked'
  ' hourglass detections, the CMU database, or the output of a detector.',
)
_OUTPUT_DIR = flags.DEFINE_string('output_dir', 'data', 'Gets the files.')
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace files.')
_VERIFY = flags.DEFINE_string(
  'verify', None, 'Folder of files to check, instead of making some.'
)
_FPS = flags.DEFINE_float('fps', 10, 'CMU: frames per second to keep.')
_RATES = flags.DEFINE_string(
  'rates', None, 'CMU: CSV of clips, and frames per second where not 120.'
)
_CLIPS = flags.DEFINE_enum(
  'clips', 'benchmark', ['benchmark', 'all'], 'CMU: which motions to convert.'
)
_DATASET = flags.DEFINE_string('dataset', 'h36m', 'What was detected on.')
_KEYPOINTS = flags.DEFINE_string('keypoints', '', 'Name for the detections.')
_JOINT_SET = flags.DEFINE_string(
  'joint_set', '', "Of the detections; empty: by a person's number of joints."
)
_CAMERAS = flags.DEFINE_string(
  'cameras', '', 'To check a dataset of your own: its cameras, a JSON file.'
)
_SKELETON = flags.DEFINE_string(
  'skeleton', 'h36m', 'The same: name, or JSON file, of its skeleton.'
)


def main():
  if bool(_SOURCE.value) == bool(_VERIFY.value):
    raise FlagError('give --source to make files, or --verify to check some')
  if _VERIFY.value:
    verify(
      pathlib.Path(_VERIFY.value),
      cameras=_CAMERAS.value,
      skeleton=_SKELETON.value,
    )
    return
  options = Options(
    fps=_FPS.value,
    benchmark=_CLIPS.value == 'benchmark',
    rates=pathlib.Path(_RATES.value) if _RATES.value else None,
    dataset=_DATASET.value,
    keypoints=_KEYPOINTS.value,
    joint_set=_JOINT_SET.value,
    overwrite=_OVERWRITE.value,
  )
  prepare(pathlib.Path(_SOURCE.value), pathlib.Path(_OUTPUT_DIR.value), options)


if __name__ == '__main__':
  cli.run(main)
