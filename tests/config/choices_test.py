"""What flags choose from is what the rooms that do the work know."""

from semgcn_jax.config import choices
from semgcn_jax.formats import pose_files
from semgcn_jax.formats.writers import WRITERS
from semgcn_jax.motion import rig


def test_every_format_has_a_writer():
  assert tuple(WRITERS) == choices.CLIP_FILES
  assert tuple(pose_files._WRITERS) == choices.POSE_FILES
  assert {*choices.READABLE_POSES} < {*choices.POSE_FILES}


def test_every_naming_of_a_rig_is_known():
  assert tuple(rig.NAMES) == choices.RIG_NAMES
