"""The settings of random bodies, cameras and detectors."""

import dataclasses

from semgcn_jax.config.fields import (
  FRAME_RATE,
  SHARE,
  Group,
  between,
  setting,
  up_to,
)
from semgcn_jax.errors import SettingError

_FIELD_OF_VIEW = between(5, 150)


@dataclasses.dataclass(frozen=True)
class FilmingConfig(Group):
  """The random bodies, cameras and detectors that `input_joints` trains on."""

  mix_limbs: float = setting(
    0.0,
    'Take arms and legs from another pose, each with this probability.',
    up_to(1),
  )
  body_scale: float = setting(
    0.05, 'Make bodies taller or shorter by up to this fraction.', up_to(1)
  )
  bone_scale: float = setting(
    0.05, 'Make each bone longer or shorter by up to this fraction.', up_to(1)
  )
  part_scale: float = setting(
    0.0,
    'Make trunk, head, hips, shoulders, thighs, shanks, upper arms and forearms'
    ' each longer or shorter by up to this fraction.',
    up_to(1),
  )
  detected_bodies: float = setting(
    0.0,
    'Give this fraction of the bodies the proportions that detectors mark, such'
    ' as wider hips.',
    up_to(1),
  )
  limb_turn: float = setting(
    20.0,
    'In half of the poses, rotate limbs and head at each joint by angles of'
    ' this SD in degrees.',
    up_to(90),
  )
  film_turn: float = setting(
    180.0,
    "Turn cameras by up to this many degrees from the dataset's own, about the"
    ' vertical. With 180, a skeleton that does not stand is filmed from all'
    ' around, whatever --film_tilt, --film_pitch and --film_roll say.',
    between(0, 180),
  )
  film_tilt: float = setting(
    6.0, 'Point cameras down by this many degrees on average.', between(-60, 60)
  )
  film_pitch: float = setting(
    14.0, 'Vary that angle by this SD in degrees.', up_to(60)
  )
  film_roll: float = setting(
    4.0, 'Roll cameras by this SD in degrees.', up_to(60)
  )
  film_fov_low: float = setting(
    30.0,
    'Give the longer image side at least this field of view, in degrees.',
    _FIELD_OF_VIEW,
  )
  film_fov_high: float = setting(
    85.0, 'Give it at most this field of view.', _FIELD_OF_VIEW
  )
  film_aspect: float = setting(
    1.8, 'Make one image side up to this many times the other.', between(1, 10)
  )
  film_size_low: float = setting(
    0.35, 'Let a person fill at least this fraction of the image.', up_to(1)
  )
  film_size_high: float = setting(
    1.0, 'Let a person fill at most this fraction of the image.', up_to(1)
  )
  film_crop: float = setting(
    0.1, 'Cut the person off in this fraction of the images.', up_to(1)
  )
  film_off_axis: float = setting(
    0.1, 'Put the optical axis off center in this fraction of images.', up_to(1)
  )
  known_focal: float = setting(
    0.25, 'Give the network the focal length in this fraction.', up_to(1)
  )
  mark_offset: float = setting(
    0.018,
    'Offset the marked points from the joints by this SD per axis, in metres.',
    up_to(0.2),
  )
  clean: float = setting(
    0.2, 'Detect this fraction of the poses without any error.', up_to(1)
  )
  detector_noise: float = setting(
    0.015,
    'Add noise of this SD per axis to the points, as a fraction of the size of'
    ' the person in the image.',
    up_to(0.2),
  )
  outliers: float = setting(
    0.02, 'Multiply the noise of this fraction of the points by six.', up_to(1)
  )
  swaps: float = setting(
    0.01, 'Swap left and right in this fraction of the pairs.', up_to(1)
  )
  side_swaps: float = setting(
    0.0,
    'Swap the whole left and right side in this fraction of the poses.',
    up_to(1),
  )
  gaps: float = setting(0.03, 'Miss this fraction of the points.', up_to(1))
  limb_gaps: float = setting(
    0.1, 'Miss one limb, or the face, in this fraction.', up_to(1)
  )
  lower_gaps: float = setting(
    0.2, 'Miss hips, knees and ankles in this fraction of the poses.', up_to(1)
  )

  rate_low: float = setting(
    8.0,
    'With --model=semgcn_temporal, film clips at this frame rate or more.',
    FRAME_RATE,
  )
  rate_high: float = setting(
    13.0, 'Film them at this frame rate or less.', FRAME_RATE
  )
  film_pan: float = setting(
    5.0,
    'In half of the clips, turn the camera slowly about every axis, by this SD'
    ' in degrees per second.',
    up_to(60),
  )
  film_follow: float = setting(
    0.3,
    'In this fraction of the clips, let the camera roughly follow the person.',
    up_to(1),
  )
  noise_correlation: float = setting(
    0.9,
    "Correlate a point's noise with the frame before by up to this.",
    SHARE,
  )
  lasting: float = setting(
    6.0,
    'Let gaps, outliers and swaps last up to this many frames on average.',
    between(1, 1000),
  )
  lost: float = setting(
    0.03, 'Detect nothing in this fraction of the frames of clips.', up_to(1)
  )

  def __post_init__(self):
    super().__post_init__()
    for low, high in (
      ('film_fov_low', 'film_fov_high'),
      ('film_size_low', 'film_size_high'),
      ('rate_low', 'rate_high'),
    ):
      if getattr(self, low) > getattr(self, high):
        raise SettingError(f'`{low}={getattr(self, low)}`: is above `{high}`')
    if self.film_size_low <= 0:
      raise SettingError('`film_size_low=0`: must be above 0')
