"""Shows poses as a page, an image, an animation, or a file for animators.

The poses are those that predict.py wrote, or the test poses of a run beside the
ground truth.
"""

import dataclasses
import pathlib

from semgcn_jax import weights
from semgcn_jax.commands.flags import outputs, shared
from semgcn_jax.config.choices import (
  CLIP_FILES,
  POSE_FILES,
  READABLE_POSES,
)
from semgcn_jax.config.fields import FPS, setting
from semgcn_jax.errors import SettingError
from semgcn_jax.files import split_paths

# Files of poses are written by predict.py, and read here.
ENDINGS = tuple(name for name in CLIP_FILES if name not in POSE_FILES)


@dataclasses.dataclass(frozen=True)
class Flags(outputs.ClipFlags):
  """The flags of the command."""

  settings = (
    *('data_dir', 'actions', 'test_subjects', 'test_downsample', 'cameras'),
    *('keypoints', 'image_dir', 'flip_test'),
  )
  checkpoint: str | None = shared.checkpoint_setting(
    'Show the test poses of', None
  )
  output: str = outputs.output_setting(ENDINGS)
  poses: str | None = setting(
    None,
    'Show the poses in this .json or .npz file of predict.py, or in several,'
    ' such as a.json,b.json.',
  )
  pictures: str | None = setting(
    None, 'Show the 2D poses on this image or video.'
  )
  fps: float | None = setting(
    None,
    'Set the frame rate; by default that in --poses, or 10 for runs.',
    FPS,
  )

  @property
  def files(self) -> tuple[pathlib.Path, ...]:
    """The files of --poses."""
    if self.poses is None:
      return ()
    return split_paths(self.poses, POSE_FILES, 'poses')

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    inputs = *map(str, self.files), self.pictures
    paths = outputs.check_output_flags(self, ENDINGS, inputs)
    outputs.check_rig_flags(self, (path.name for path in paths))
    if (self.poses is None) == (self.checkpoint is None):
      raise SettingError('give either `poses` or `checkpoint`')
    if self.checkpoint is None:
      for name in self.given:
        raise SettingError(f'`{name}`: has no meaning with `poses`')
      for file in self.files:
        if file.suffix in READABLE_POSES:
          shared.check_exists('poses', file)
    else:
      if self.pictures is not None:
        raise SettingError('`pictures`: has no meaning with `checkpoint`')
      weights.find(self.checkpoint)
