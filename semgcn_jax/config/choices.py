"""What flags choose from; the rooms that do the work keep to it.

It stands apart from them, as importing them takes seconds, and --help must not.
"""

from typing import Any

import numpy as np

from semgcn_jax.config.fields import Range

# The endings of files of poses, of those that hold no other skeleton than that
# of people, and of all files of clips; see `formats.writers`.
POSE_FILES = ('.json', '.npz', '.csv')
READABLE_POSES = ('.json', '.npz')
OF_PEOPLE = (
  *('.bvh', '.glb', '.vrm', '.vrma'),
  *('.trc', '.c3d', '.mot', '.angles.csv'),
)
CLIP_FILES = (*POSE_FILES, '.html', '.png', '.gif', '.mp4', *OF_PEOPLE)
RIG_NAMES = ('h36m', 'mixamo', 'blender', 'unity', 'lafan1')  # Of `motion.rig`.
BVH_UNITS = {'cm': 100.0, 'm': 1.0}  # Per metre.
SMOOTHING = ('none', 'one_euro', 'butterworth')
DETECTORS = ('mediapipe', 'rtmlib')
MAX_HANDS = 4  # To find in an image, by default.


def _is_height(value: Any) -> bool:
  """Returns whether a value can be a person's height in metres."""
  is_number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in 'iuf'
  return is_number and 0.3 <= value <= 3


HEIGHT = Range('from 0.3 to 3 metres', _is_height)
PITCH = Range('from -89 to 89 degrees', lambda x: abs(x) <= 89)
