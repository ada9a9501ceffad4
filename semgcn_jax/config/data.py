"""The settings of the poses that are trained on and scored."""

import dataclasses

from semgcn_jax.config.fields import (
  NOT_NEGATIVE,
  POSITIVE,
  Group,
  Range,
  setting,
)
from semgcn_jax.geometry import rates

# The datasets that there are: files of poses, and pictures with poses. Another
# name is one of your own.
OF_POSES = ('synthetic', 'h36m', 'cmu')
OF_PICTURES = ('rendered', 'images')


@dataclasses.dataclass(frozen=True)
class DataConfig(Group):
  """The poses that are trained on and scored."""

  dataset: str = setting(
    'synthetic',
    f'Use {", ".join(OF_POSES + OF_PICTURES)} (a folder of pictures), or a'
    ' dataset of your own.',
  )
  data_dir: str = setting('data', 'Read data_3d_<dataset>.npz in this folder.')
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
    (), 'Keep these training subjects aside, to choose the best epoch on.'
  )
  fps: float = setting(
    0.0,
    'With --model=semgcn_temporal, say how many frames a second the files have;'
    ' 0 takes what is known of the dataset.',
    Range(f'0, or {rates.RANGE}', lambda x: x == 0 or rates.is_rate(x)),
  )
  downsample: int = setting(1, 'Use every n-th frame.', POSITIVE)
  test_downsample: int = setting(
    0,
    'Test on every n-th frame; 0 takes what --downsample says.',
    NOT_NEGATIVE,
  )
  image_aligned: bool = setting(
    False, "Scale the targets to the image, as in the paper's section 5.1."
  )
  image_dir: str = setting(
    '',
    'Read the pictures of the poses in this folder; if empty, there are none.',
  )
  crop_size: int = setting(
    256,
    'Cut people out of pictures as squares of this many pixels.',
    Range(
      'a multiple of 32, from 32 to 1024',
      lambda x: 32 <= x <= 1024 and x % 32 == 0,
    ),
  )
  rendered_train: int = setting(
    8000,
    'With --dataset=rendered, draw this many pictures to train on.',
    Range('from 1 to 10^6', lambda x: 1 <= x <= 10**6),
  )
  rendered_test: int = setting(
    2000,
    'With --dataset=rendered, draw this many pictures to test on.',
    Range('from 1 to 10^6', lambda x: 1 <= x <= 10**6),
  )
  rendered_seed: int = setting(
    0, 'Seed the people and the cameras of --dataset=rendered.', NOT_NEGATIVE
  )
  rendered_azimuth: float = setting(
    180.0,
    'Render people from at most this many degrees beside where they face; 180'
    ' is from anywhere.',
    Range('above 0 and at most 180', lambda x: 0 < x <= 180),
  )
  rendered_motions: str = setting(
    '',
    'Render the poses of this data_3d_*.npz; if empty, synthetic ones.',
  )

  @property
  def has_images(self) -> bool:
    """Whether the poses come with pictures."""
    return bool(self.image_dir) or self.dataset in OF_PICTURES
