"""The settings of the dataset."""

import dataclasses

from semgcn_jax.config.fields import (
  NOT_NEGATIVE,
  POSITIVE,
  Group,
  Range,
  between,
  setting,
)
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry import rates

# The known datasets: poses in files, and images with poses. Any other name is a
# dataset of your own.
OF_POSES = ('synthetic', 'h36m', 'cmu')
OF_PICTURES = ('rendered', 'images')

_FPS = Range(f'0, or {rates.RANGE}', lambda x: x == 0 or rates.is_rate(x))
_CROP = Range(
  'a multiple of 32, from 32 to 1024',
  lambda x: 32 <= x <= 1024 and x % 32 == 0,
)
_AZIMUTH = Range('above 0 and at most 180', lambda x: 0 < x <= 180)
_COUNT = between(1, 10**6)


@dataclasses.dataclass(frozen=True)
class DataConfig(Group):
  """The poses to train on and to score."""

  task: str = setting(
    'poses',
    'Predict 3D poses (poses), or any features at the nodes of a graph, from'
    ' data_graph_<dataset>.npz (regression).',
    choices=('poses', 'regression'),
  )
  dataset: str = setting(
    'synthetic',
    f'Use {", ".join(OF_POSES + OF_PICTURES)} (a folder of images), or a'
    ' dataset of your own.',
  )
  data_dir: str = setting('data', 'Read data_3d_<dataset>.npz in this folder.')
  more_poses: str = setting(
    '', 'With --dataset=cmu, also train on the poses in this data_3d_*.npz.'
  )
  keypoints: str = setting(
    'gt', 'Read the 2D input from data_2d_<dataset>_<keypoints>.npz.'
  )
  cameras: str = setting(
    '', "Read the cameras from this JSON file, not the dataset's own."
  )
  skeleton: str = setting('h36m', 'Use the skeleton of this name or JSON file.')
  actions: tuple[str, ...] = setting((), 'Use these actions; if empty, all.')
  train_subjects: tuple[str, ...] = setting(
    (), "Train on these subjects; if empty, on the dataset's own."
  )
  test_subjects: tuple[str, ...] = setting(
    (), "Test on these subjects; if empty, on the dataset's own."
  )
  val_subjects: tuple[str, ...] = setting(
    (), 'Hold out these training subjects to choose the best epoch on.'
  )
  fps: float = setting(
    0.0,
    'With --model=semgcn_temporal, take this as the frame rate of the files; 0'
    " is the dataset's own, if known.",
    _FPS,
  )
  downsample: int = setting(1, 'Use every n-th frame.', POSITIVE)
  test_downsample: int = setting(
    0,
    'Test on every n-th frame; 0 means the same as --downsample.',
    NOT_NEGATIVE,
  )
  image_aligned: bool = setting(
    False, "Scale the targets to the image, as in the paper's section 5.1."
  )
  image_dir: str = setting(
    '', 'Read the images of the poses in this folder; if empty, use none.'
  )
  crop_size: int = setting(
    256, 'Crop people out of images as squares of this many pixels.', _CROP
  )
  rendered_train: int = setting(
    8000, 'With --dataset=rendered, draw this many training images.', _COUNT
  )
  rendered_test: int = setting(
    2000, 'With --dataset=rendered, draw this many test images.', _COUNT
  )
  rendered_seed: int = setting(
    0, 'Seed the people and the cameras of --dataset=rendered.', NOT_NEGATIVE
  )
  rendered_azimuth: float = setting(
    180.0,
    'Render people from at most this many degrees off their front.',
    _AZIMUTH,
  )
  rendered_motions: str = setting(
    '', 'Render the poses of this data_3d_*.npz; if empty, synthetic ones.'
  )

  def __post_init__(self):
    super().__post_init__()
    if self.more_poses and self.dataset != 'cmu':
      raise SettingError('`more_poses`: needs `dataset=cmu`')

  @property
  def has_images(self) -> bool:
    """Whether the poses come with images."""
    return bool(self.image_dir) or self.dataset in OF_PICTURES
