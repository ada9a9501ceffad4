"""The settings of how training poses are varied."""

import dataclasses

from semgcn_jax.config.fields import NOT_NEGATIVE, SHARE, Group, setting, up_to


@dataclasses.dataclass(frozen=True)
class AugmentationConfig(Group):
  """The ways of varying training poses, and pictures; see `training`."""

  flip: bool = setting(False, 'Mirror half of the poses, at random.')
  virtual_turn: float = setting(
    0.0,
    'Turn the camera about the vertical by up to this many degrees.',
    up_to(180),
  )
  virtual_pitch: float = setting(
    0.0, 'Pitch the camera up or down by up to this many degrees.', up_to(90)
  )
  virtual_shift: float = setting(
    0.0,
    'Shift the camera along each axis by up to this many metres.',
    NOT_NEGATIVE,
  )
  virtual_zoom: float = setting(
    0.0, 'Change the focal length by up to this share.', up_to(1)
  )
  noise: float = setting(
    0.0,
    'Add noise of this standard deviation to the 2D, in pixels of an image that'
    ' is 1,000 wide.',
    NOT_NEGATIVE,
  )
  missing: float = setting(
    0.0,
    'Put this share of the 2D joints where their parents are, as if they were'
    ' not detected.',
    SHARE,
  )

  image_zoom: float = setting(
    0.0, 'Zoom pictures by up to this share, in and out.', up_to(0.9)
  )
  image_turn: float = setting(
    0.0, 'Turn pictures in their plane by up to this many degrees.', up_to(180)
  )
  image_color: float = setting(
    0.0,
    'Change the brightness, the contrast and the colours of pictures by up to'
    ' this share.',
    up_to(1),
  )

  @property
  def virtual_cameras(self) -> tuple[str, ...]:
    """The settings in use that let other cameras than the data's see a pose."""
    names = ('virtual_turn', 'virtual_pitch', 'virtual_shift', 'virtual_zoom')
    return tuple(name for name in names if getattr(self, name))
