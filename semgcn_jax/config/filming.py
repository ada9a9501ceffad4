"""The settings of random bodies, cameras and detectors."""

import dataclasses

from semgcn_jax.config.fields import (
  RATE,
  SHARE,
  Group,
  Range,
  setting,
  up_to,
)
from semgcn_jax.errors import SettingError


@dataclasses.dataclass(frozen=True)
class FilmingConfig(Group):
  """The random bodies, cameras and detectors that `input_joints` trains on."""

  mix_limbs: float = setting(
    0.0,
    'Take limbs from another pose in this share of the poses, the legs and the'
    ' arms each for themselves.',
    up_to(1),
  )
  body_scale: float = setting(
    0.05, 'Make bodies taller or shorter by up to this share.', up_to(1)
  )
  bone_scale: float = setting(
    0.05, 'Make each bone longer or shorter by up to this share.', up_to(1)
  )
  limb_turn: float = setting(
    20.0,
    'Turn limbs and head at each joint, in half of the poses, by angles of this'
    ' standard deviation in degrees.',
    up_to(90),
  )
  film_tilt: float = setting(
    6.0,
    'Let cameras look down by this many degrees, on average.',
    Range('from -60 to 60', lambda x: -60 <= x <= 60),
  )
  film_pitch: float = setting(
    14.0,
    'Let them look up and down from there, with this standard deviation in'
    ' degrees.',
    up_to(60),
  )
  film_roll: float = setting(
    4.0, 'Roll cameras, with this standard deviation in degrees.', up_to(60)
  )
  film_fov_low: float = setting(
    30.0,
    'Give the longer side of an image at least this field of view, in degrees.',
    Range('from 5 to 150', lambda x: 5 <= x <= 150),
  )
  film_fov_high: float = setting(
    85.0,
    'Give it at most this field of view.',
    Range('from 5 to 150', lambda x: 5 <= x <= 150),
  )
  film_aspect: float = setting(
    1.8,
    'Let one side of an image be up to so many times as long as the other.',
    Range('from 1 to 10', lambda x: 1 <= x <= 10),
  )
  film_size_low: float = setting(
    0.35, 'Let a person fill at least this share of the image.', up_to(1)
  )
  film_size_high: float = setting(
    1.0, 'Let a person fill at most this share of the image.', up_to(1)
  )
  film_crop: float = setting(
    0.1, 'Let this share of the images cut a person off.', up_to(1)
  )
  film_off_axis: float = setting(
    0.1,
    'Let this share of the images be cut from larger ones, so that their middle'
    ' is not the optical axis.',
    up_to(1),
  )
  known_focal: float = setting(
    0.25, 'Tell the network the focal length of this share.', up_to(1)
  )
  mark_offset: float = setting(
    0.018,
    'Mark points beside the joints, by offsets of this standard deviation along'
    ' each axis, in metres.',
    up_to(0.2),
  )
  clean: float = setting(
    0.2, 'Find the points of this share of the poses exactly.', up_to(1)
  )
  detector_noise: float = setting(
    0.015,
    'Add noise of this standard deviation along each axis to the points, as a'
    ' share of the size of the person in the image.',
    up_to(0.2),
  )
  outliers: float = setting(
    0.02, 'Let this share of the points be six times as far off.', up_to(1)
  )
  swaps: float = setting(
    0.01, 'Exchange left and right of this share of the pairs.', up_to(1)
  )
  gaps: float = setting(0.03, 'Do not find this share of the points.', up_to(1))
  limb_gaps: float = setting(
    0.1, 'Do not find one limb, or the face, of this share.', up_to(1)
  )
  lower_gaps: float = setting(
    0.2,
    'Find neither hips, knees nor ankles of this share of the poses.',
    up_to(1),
  )

  rate_low: float = setting(
    8.0,
    'Film clips for --model=semgcn_temporal at this many frames a second or'
    ' more.',
    RATE,
  )
  rate_high: float = setting(
    13.0, 'Film them at this many frames a second or fewer.', RATE
  )
  film_pan: float = setting(
    5.0,
    'Turn the cameras of half of these clips slowly, about every axis with this'
    ' standard deviation in degrees a second.',
    up_to(60),
  )
  film_follow: float = setting(
    0.3,
    'Let the cameras of this share of the clips move along with the person,'
    ' more or less.',
    up_to(1),
  )
  noise_correlation: float = setting(
    0.9,
    'Let the noise of a point be like that of the frame before, with a'
    ' correlation of up to this.',
    SHARE,
  )
  lasting: float = setting(
    6.0,
    'Let gaps, outliers and exchanged sides last for up to this many frames, on'
    ' average.',
    Range('from 1 to 1000', lambda x: 1 <= x <= 1000),
  )
  lost: float = setting(
    0.03, 'Find nothing in this share of the frames of clips.', up_to(1)
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
