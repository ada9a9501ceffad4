"""The settings of data augmentation."""

import dataclasses

from semgcn_jax.config.fields import NOT_NEGATIVE, SHARE, Group, setting, up_to


@dataclasses.dataclass(frozen=True)
class AugmentationConfig(Group):
  """The augmentation of training poses and images; see `tasks`."""

  flip: bool = setting(False, 'Mirror half of the poses, at random.')
  virtual_turn: float = setting(
    0.0, 'Yaw the camera by up to this many degrees.', up_to(180)
  )
  virtual_pitch: float = setting(
    0.0, 'Pitch the camera up or down by up to this many degrees.', up_to(90)
  )
  virtual_shift: float = setting(
    0.0, 'Shift the camera along each axis by up to this, metres.', NOT_NEGATIVE
  )
  virtual_zoom: float = setting(
    0.0, 'Change the focal length by up to this fraction.', up_to(1)
  )
  noise: float = setting(
    0.0, 'Add 2D noise of this SD, in 1/1000 of the image width.', NOT_NEGATIVE
  )
  missing: float = setting(
    0.0,
    'Move this fraction of the 2D joints onto their parents, as if undetected.',
    SHARE,
  )

  image_zoom: float = setting(
    0.0, 'Zoom images in and out by up to this fraction.', up_to(0.9)
  )
  image_turn: float = setting(
    0.0, 'Rotate images in their plane by up to this many degrees.', up_to(180)
  )
  image_color: float = setting(
    0.0,
    'Vary brightness, contrast and color of images by up to this fraction.',
    up_to(1),
  )

  @property
  def virtual_cameras(self) -> tuple[str, ...]:
    """The nonzero settings that replace the dataset's cameras."""
    names = ('virtual_turn', 'virtual_pitch', 'virtual_shift', 'virtual_zoom')
    return tuple(name for name in names if getattr(self, name))
