"""Lifts the keypoints of a detector to poses in 3D, and writes them to a file.

Every format that prepare_data.py reads is known, and arrays (npy, npz) as users
of MediaPipe and YOLO save them.
"""

import pathlib
import re
import time
from collections.abc import Sequence

import numpy as np
import rich.progress
from absl import flags

from semgcn_jax.commands.parsing import (
  define_cache_flag,
  define_checkpoint_flag,
  define_which_flags,
)
from semgcn_jax.commands.running import run, use_compilation_cache
from semgcn_jax.errors import SettingError, UserError, choose, listed
from semgcn_jax.files import check_output
from semgcn_jax.joint_sets import JOINT_SETS
from semgcn_jax.lifting import people
from semgcn_jax.lifting.lifter import Lifter
from semgcn_jax.lifting.smoothing import METHODS


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_cache_flag(values)
  define_checkpoint_flag(values, 'Lift by', default='cmu')
  define_which_flags(values)
  for name, default, text in (
    (
      'keypoints',
      None,
      "Lift the keypoints in this file, in a clip's folder of a file for each"
      ' frame, or in a folder of clips.',
    ),
    (
      'image_size',
      '',
      'Say how large the images are in pixels, such as 1920x1080; if empty, the'
      ' file must tell.',
    ),
    (
      'joint_set',
      '',
      'Say which set of joints was detected; if empty, their number tells. One'
      f' of {", ".join(JOINT_SETS)}.',
    ),
    (
      'output',
      None,
      'Write the poses to this file, which ends with .json, .npz or .csv.',
    ),
    (
      'smooth',
      'none',
      f'Smooth the poses over time. One of {", ".join(METHODS)}.',
    ),
  ):
    flags.DEFINE_string(name, default, text, flag_values=values)
  for name, default, text in (
    ('min_confidence', 0.0, 'Take keypoints of less confidence as not found.'),
    ('focal_length', None, 'Say what the focal length is in pixels, if known.'),
    (
      'field_of_view',
      None,
      "Say what the field of view of an image's longer side is in degrees, if"
      ' known.',
    ),
    ('height', None, 'Say how tall the person is in metres, if known.'),
    ('fps', 30.0, 'Say how many frames a second has, for --smooth.'),
    ('cutoff', 3.0, 'Let --smooth keep motion of up to this frequency in Hz.'),
  ):
    flags.DEFINE_float(name, default, text, flag_values=values)
  flags.DEFINE_bool(
    'overwrite', False, 'Replace the output if it exists.', flag_values=values
  )
  flags.mark_flags_as_required(['keypoints', 'output'], flag_values=values)


def lift(values: flags.FlagValues) -> None:
  """Lifts what the flags name.

  Raises:
    SettingError: A flag is wrong.
    UserError: A file is damaged or not usable.
  """
  began = time.monotonic()
  output = pathlib.Path(values.output)
  check_output(output)
  if output.suffix not in people.ENDINGS:
    raise SettingError(
      f'`output={output}`: must end with {listed(people.ENDINGS)}'
    )
  if output.exists() and not values.overwrite:
    raise SettingError(f'`output={output}`: exists; give `overwrite`')
  choose('smooth', values.smooth, dict.fromkeys(METHODS))
  if values.joint_set:
    choose('joint_set', values.joint_set, JOINT_SETS)
  if not 0 < values.fps < 1e6:
    raise SettingError(f'`fps={values.fps}`: must be above 0, below 1e6')
  if not 0 < values.cutoff < values.fps / 2:
    raise SettingError(
      f'`cutoff={values.cutoff}`: must be above 0 and below half of `fps`'
    )
  image_size = _read_size(values.image_size)
  if not values.keypoints:
    raise SettingError('`keypoints`: is empty; name a file or a folder')
  clips = people.find_clips(pathlib.Path(values.keypoints))
  use_compilation_cache(values)
  lifter = Lifter.load(values.checkpoint, values.which, seed=values.only_seed)
  found = []
  for name, paths in rich.progress.track(
    clips.items(), 'lifting', transient=True, disable=len(clips) == 1
  ):
    found += people.lift_clip(
      lifter,
      name,
      paths,
      joint_set=values.joint_set,
      image_size=image_size,
      min_confidence=values.min_confidence,
      focal_length=values.focal_length,
      field_of_view=values.field_of_view,
      height=values.height,
      method=values.smooth,
      fps=values.fps,
      cutoff=values.cutoff,
    )
  if not found:
    raise UserError(f'{values.keypoints}: no person in any frame')
  told = ('checkpoint', 'fps', 'smooth', 'cutoff', 'joint_set', 'height')
  told += ('min_confidence', 'focal_length', 'field_of_view')
  details = {name: values[name].value for name in told}
  people.write_poses(found, output, details)
  poses = sum(len(person.frames) for person in found)
  missing = sum(int(np.isnan(p.poses[:, 0, 0]).sum()) for p in found)
  few = f', of which {missing} have too few keypoints' if missing else ''
  print(
    f'{output}: {poses:,} poses{few}, of {len(found)} people in {len(clips)}'
    f' clips, in {time.monotonic() - began:.1f} s'
  )


def _read_size(text: str) -> tuple[int, int] | None:
  """Reads a size such as 1920x1080."""
  if not text:
    return None
  match = re.fullmatch(r'(\d{1,6})[xX*,](\d{1,6})', text)
  if not match or not all(map(int, match.groups())):
    raise SettingError(
      f'`image_size={text}`: give width and height in pixels, such as 1920x1080'
    )
  return int(match[1]), int(match[2])


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, lift, argv)
