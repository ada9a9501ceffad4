"""Lifts people to poses in 3D, and writes them to a file.

They come from the keypoints of any detector, in every format that
prepare_data.py reads and as arrays (npy, npz), or from pictures, videos and
cameras, in which MediaPipe then finds them. A network that was trained on
pictures finds the person in a picture itself.
"""

import dataclasses
import pathlib
import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.progress
from absl import flags

from semgcn_jax.commands.outputs import (
  check_output_flags,
  define_output_flags,
  write_chosen,
)
from semgcn_jax.commands.parsing import (
  define_cache_flag,
  define_checkpoint_flag,
  define_which_flags,
)
from semgcn_jax.commands.running import run, use_compilation_cache
from semgcn_jax.detections import mediapipe
from semgcn_jax.detections.clip_files import find_clips, read_clip
from semgcn_jax.detections.clips import Clip
from semgcn_jax.errors import SettingError, UserError, choose
from semgcn_jax.formats.writers import WRITERS
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.inference.image_lifter import ImageLifter
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.people import lift_clip
from semgcn_jax.motion.smoothing import METHODS, smooth
from semgcn_jax.pictures.crops import read_box
from semgcn_jax.pictures.images import read_image
from semgcn_jax.pictures.videos import Video, read_album
from semgcn_jax.runs.checkpoints import Network, restore_network

ENDINGS = tuple(WRITERS)
# The weights in the box for single frames, and for clips.
SINGLE, OVER_TIME = 'cmu', 'cmu-video'


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_cache_flag(values)
  define_checkpoint_flag(
    values,
    f'If empty, lift by {OVER_TIME} who is followed for long enough, and by'
    f' {SINGLE} the others; otherwise lift by',
    default='',
  )
  define_which_flags(values)
  define_output_flags(values, ENDINGS)
  for name, default, text in (
    (
      'keypoints',
      None,
      "Lift the keypoints in this file, in a clip's folder of a file for each"
      ' frame, or in a folder of clips.',
    ),
    (
      'image',
      None,
      'Find and lift the people in this picture; with --keypoints it is their'
      ' picture.',
    ),
    (
      'video',
      None,
      'Find and lift one person in this video; with --keypoints it is their'
      ' video.',
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
      'smooth',
      'none',
      f'Smooth the poses over time. One of {", ".join(METHODS)}.',
    ),
  ):
    flags.DEFINE_string(name, default, text, flag_values=values)
  flags.DEFINE_list(
    'box',
    None,
    'Find the person in this box alone: left, top, width, height in pixels.',
    flag_values=values,
  )
  flags.DEFINE_integer(
    'camera',
    None,
    'Film with the camera of this number, and find and lift one person.',
    0,
    flag_values=values,
  )
  for name, default, text in (
    ('seconds', 10.0, 'Film with --camera for so many seconds.'),
    ('min_confidence', 0.0, 'Take keypoints of less confidence as not found.'),
    ('focal_length', None, 'Say what the focal length is in pixels, if known.'),
    (
      'field_of_view',
      None,
      "Say what the field of view of an image's longer side is in degrees, if"
      ' known.',
    ),
    ('height', None, 'Say how tall the person is in metres, if known.'),
    (
      'fps',
      None,
      'Say how many frames a second has; if not given, the video tells it, and'
      ' otherwise it is 30. Networks that see time need it.',
    ),
    ('cutoff', 3.0, 'Let --smooth keep motion of up to this frequency in Hz.'),
  ):
    flags.DEFINE_float(name, default, text, flag_values=values)


def lift(values: flags.FlagValues) -> None:
  """Lifts what the flags name.

  Raises:
    SettingError: A flag is wrong.
    UserError: A file is damaged or not usable.
  """
  began = time.monotonic()
  check_output_flags(values, ENDINGS)
  choose('smooth', values.smooth, dict.fromkeys(METHODS))
  if values.joint_set:
    choose('joint_set', values.joint_set, JOINT_SETS)
  _check_sources(values)
  if values.fps is not None:
    rates.check_fps(values.fps)
    _check_cutoff(values, values.fps)
  use_compilation_cache(values)
  name = values.checkpoint or SINGLE
  if not values.checkpoint and (
    values.only_seed is not None or values.which != 'best'
  ):
    raise SettingError('`which`, `only_seed`: are of a run; give `checkpoint`')
  network = restore_network(name, values.which)
  if network.config.model.backbone:
    _lift_image(values, network, began)
    return
  clips = _read_clips(values)
  if not any(clip.people for clip in clips):
    raise UserError(f'{values.keypoints}: no person in any frame')
  fps = clips[0].fps
  _check_cutoff(values, fps)
  lifter = Lifter.of(network, values.only_seed, name)
  over_time = None
  if not values.checkpoint and any(len(clip.frames) > 1 for clip in clips):
    over_time = Lifter.load(OVER_TIME)
  told = ('height', 'min_confidence', 'focal_length', 'field_of_view')
  options: dict[str, Any] = {name: values[name].value for name in told}
  lifted = []
  for clip in rich.progress.track(
    clips, 'lifting', transient=True, disable=len(clips) == 1
  ):
    clip = lift_clip(lifter, clip, over_time, **options)
    lifted.append(smooth(clip, values.smooth, cutoff=values.cutoff))
  told = ('checkpoint', 'smooth', 'cutoff', 'joint_set')
  details = {name: values[name].value for name in told} | options
  if not values.keypoints:
    details['joint_set'] = clips[0].joint_set
  details['checkpoint'] = f'{OVER_TIME}, {SINGLE}' if over_time else name
  title = pathlib.PurePath(clips[0].source).name
  title += f' and {len(clips) - 1} more' if len(clips) > 1 else ''
  write_chosen(values, lifted, title=title, details=details)
  people = [person for clip in lifted for person in clip.people]
  poses = sum(len(person.frames) for person in people)
  missing = sum(int(np.isnan(p.poses[:, 0, 0]).sum()) for p in people)
  few = f', of which {missing} have too few keypoints' if missing else ''
  print(
    f'{values.output}: {poses:,} poses{few}, of {len(people)} people in'
    f' {len(clips)} clips, at {fps:g} frames a second, in'
    f' {time.monotonic() - began:.1f} s'
  )


def _lift_image(
  values: flags.FlagValues, network: Network, began: float
) -> None:
  """Lifts the person in a picture by a network that sees pictures.

  Raises:
    SettingError: A flag has no meaning for it.
    UserError: The picture cannot be read.
  """
  if values.image is None or values.keypoints is not None:
    raise SettingError(
      f'`checkpoint={values.checkpoint}`: takes a picture; give `image`, and'
      ' `box` where the person does not fill it'
    )
  for name in (
    *('min_confidence', 'focal_length', 'field_of_view', 'height'),
    *('smooth', 'cutoff', 'fps'),
  ):
    if values[name].value != values[name].default:
      raise SettingError(
        f'`{name}`: has no meaning with `backbone`; leave it out'
      )
  path = pathlib.Path(values.image)
  box = None if values.box is None else read_box(values.box)
  lifter = ImageLifter.of(network, values.only_seed)
  clip = lifter.lift(read_image(path), box, path.stem)
  details = {'checkpoint': values.checkpoint, 'fps': clip.fps}
  details['joint_set'] = network.config.data.skeleton
  write_chosen(values, [clip], title=path.name, details=details)
  print(f'{values.output}: 1 pose, in {time.monotonic() - began:.1f} s')


def _check_cutoff(values: flags.FlagValues, fps: float) -> None:
  """Checks the frequency that is smoothed to, if it is."""
  if values.smooth != 'none' and not 0 < values.cutoff < fps / 2:
    raise SettingError(
      f'`cutoff={values.cutoff}`: must be above 0 and below half of `fps`,'
      f' which is {fps:g}'
    )


def _check_sources(values: flags.FlagValues) -> None:
  """Checks that the flags name one source of people, and nothing in vain."""
  if values.keypoints == '':
    raise SettingError('`keypoints`: is empty; name a file or a folder')
  names = ('keypoints', 'image', 'video', 'camera')
  given = [name for name in names if values[name].value is not None]
  if not given:
    raise SettingError('give `keypoints`, `image`, `video` or `camera`')
  if len(given) > 1 and given not in (
    ['keypoints', 'image'],
    ['keypoints', 'video'],
  ):
    raise SettingError(f'{" and ".join(f"`{n}`" for n in given)}: give one')
  if given[0] == 'keypoints' and values.box:
    raise SettingError('`box`: has no meaning with `keypoints`')
  if given[0] != 'keypoints':
    for name in ('joint_set', 'image_size'):
      if values[name].value:
        raise SettingError(f'`{name}`: has a meaning with `keypoints` alone')
  if not 0 < values.seconds <= 600:
    raise SettingError(
      f'`seconds={values.seconds}`: must be above 0, up to 600'
    )


def _read_clips(values: flags.FlagValues) -> list[Clip]:
  """Reads the clips that the flags name, or detects them in pictures."""
  if values.keypoints is not None:
    return _read_keypoints(values)
  box = None if values.box is None else read_box(values.box)
  if values.image is not None:
    path = pathlib.Path(values.image)
    clip, everybody = mediapipe.detect_image(path, box)
    source, followed = values.image, ''
  else:
    if values.camera is not None:
      name = f'camera {values.camera}'
      video = Video(values.camera, values.seconds)
    else:
      path = pathlib.Path(values.video)
      name, video = path.stem, Video(path)
    clip, everybody = mediapipe.detect_video(video, name, box)
    source, followed = video.name, '; the first is followed'
  if len(everybody) > 1:
    print(_told(source, everybody) + followed)
  return [dataclasses.replace(clip, fps=values.fps or clip.fps)]


def _read_keypoints(values: flags.FlagValues) -> list[Clip]:
  """Reads the clips of --keypoints, and their pictures if they are given."""
  image_size, album = _read_size(values.image_size), None
  found = find_clips(pathlib.Path(values.keypoints))
  if values.image or values.video:
    if len(found) > 1:
      raise SettingError(
        '`image`, `video`: are of one clip, but `keypoints` names'
        f' {len(found)}; name one of them'
      )
    album = read_album(pathlib.Path(values.image or values.video))
  return [
    read_clip(
      name,
      paths,
      image_size=image_size,
      joint_set=values.joint_set,
      fps=values.fps,
      pictures=album,
    )
    for name, paths in found.items()
  ]


def _told(source: str, everybody: Sequence[np.ndarray]) -> str:
  """Says whom a picture shows, given the keypoints of each, and where."""
  boxes = []
  for keypoints in everybody:
    left, top, right, bottom = mediapipe.box_of(keypoints)
    boxes.append(f'--box={left},{top},{right - left},{bottom - top}')
  return (
    f'{source}: {len(everybody)} people; choose one by {" or ".join(boxes)}'
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
