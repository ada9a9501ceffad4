"""The flags of the commands that write clips, in any format."""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from semgcn_jax.detections.clips import Clip
from semgcn_jax.errors import SettingError, choose, listed
from semgcn_jax.figures.animation import check_ffmpeg
from semgcn_jax.files import check_output
from semgcn_jax.formats.writers import Output, choose_people, write_clips
from semgcn_jax.motion.rig import NAMES
from semgcn_jax.motion.upright import MAX_PITCH


def define_output_flags(
  values: flags.FlagValues, endings: Sequence[str]
) -> None:
  """Defines the flags of `write_chosen`."""
  for name, default, text in (
    (
      'output',
      None,
      f'Write to this file, whose ending says what: {", ".join(endings)}.',
    ),
    ('clip', '', 'Write this clip alone; if empty, all of them.'),
    ('person', '', 'Write the person of this name alone; if empty, everybody.'),
    (
      'joint_names',
      'h36m',
      'Name the joints of .bvh and .glb in this way. One of'
      f' {", ".join(NAMES)}.',
    ),
  ):
    flags.DEFINE_string(name, default, text, flag_values=values)
  flags.DEFINE_float(
    'pitch',
    None,
    'Say by how many degrees the camera looks down, if known; otherwise it is'
    ' estimated from the people.',
    flag_values=values,
  )
  flags.DEFINE_bool(
    'overwrite', False, 'Replace the output if it exists.', flag_values=values
  )
  flags.mark_flag_as_required('output', flag_values=values)


def check_output_flags(
  values: flags.FlagValues, endings: Sequence[str]
) -> pathlib.Path:
  """Checks the flags before work begins, and returns the output's path.

  Raises:
    SettingError: A flag is wrong, or the output exists.
  """
  output = pathlib.Path(values.output)
  check_output(output)
  if output.suffix not in endings:
    raise SettingError(f'`output={output}`: must end with {listed(endings)}')
  if output.exists() and not values.overwrite:
    raise SettingError(f'`output={output}`: exists; give `overwrite`')
  check_ffmpeg(output)
  if 'pitch' not in values:
    return output
  choose('joint_names', values.joint_names, NAMES)
  if values.pitch is not None and not abs(values.pitch) <= MAX_PITCH:
    raise SettingError(
      f'`pitch={values.pitch}`: must be from {-MAX_PITCH:g} to {MAX_PITCH:g}'
      ' degrees'
    )
  return output


def write_chosen(
  values: flags.FlagValues, clips: Sequence[Clip], **told: Any
) -> None:
  """Writes what the flags choose; `title` and `details` are those of `Output`.

  Raises:
    SettingError: The output cannot be written, or a flag chooses nobody.
    UserError: The clips do not suit the format.
  """
  told |= {'pitch': values.pitch, 'joint_names': values.joint_names}
  output = Output(pathlib.Path(values.output), **told)
  write_clips(choose_people(clips, values.clip, values.person), output)
