"""What to convert, and how."""

import dataclasses

from semgcn_jax.config.fields import FPS, NOT_NEGATIVE, Group, setting
from semgcn_jax.geometry.joint_sets import JOINT_SETS


@dataclasses.dataclass(frozen=True)
class Options(Group):
  """The options of `convert.prepare`."""

  fps: float = setting(
    10.0, 'Keep this many frames per second of CMU clips.', FPS
  )
  rates: str | None = setting(
    None,
    'Read the frames per second of CMU clips from this CSV file, where they'
    ' are not 120.',
  )
  clips: str = setting(
    'benchmark',
    'Convert the CMU clips in the benchmark, or all.',
    choices=('benchmark', 'all'),
  )
  dataset: str = setting('h36m', 'Name the dataset of the detections.')
  detections_name: str = setting('', 'Give the detections this name.')
  joint_set: str = setting(
    '',
    'Name the joint set of the detections; if empty, infer it from the number'
    ' of joints.',
    choices=('', *JOINT_SETS),
  )
  first_frame: int | None = setting(
    None,
    'Count frames of detections from this number; by default, from the first'
    ' one in any view of a clip.',
    NOT_NEGATIVE,
  )
  overwrite: bool = setting(False, 'Replace existing files.')
