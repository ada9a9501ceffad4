"""The flags that name what predict.py lifts."""

import dataclasses
import re

from semgcn_jax.commands.flags.shared import check_exists
from semgcn_jax.commands.parsing import Flags
from semgcn_jax.config.choices import DETECTORS, MAX_HANDS
from semgcn_jax.config.fields import (
  FPS,
  NOT_NEGATIVE,
  POSITIVE,
  Range,
  setting,
)
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.joint_sets import JOINT_SETS


@dataclasses.dataclass(frozen=True)
class SourceFlags(Flags):
  """The flags of `sources.read_sources`."""

  detections: str | None = setting(
    None,
    "Lift the keypoints in this file, in a clip's folder of one file per frame,"
    ' or in a folder of clips.',
  )
  hands: bool = setting(
    False,
    'Find and lift hands, not people. With --detections, they are right hands.',
  )
  image: str | None = setting(
    None,
    'Lift the people in this image, or, with --output=FOLDER/, in those of a'
    ' folder; with --detections, show it.',
  )
  video: str | None = setting(
    None,
    'Lift the people in this video, or, with --output=FOLDER/, in those of a'
    ' folder; with --detections, show it.',
  )
  image_size: str = setting(
    '',
    'Set the size of the images in pixels, such as 1920x1080; if empty, the'
    ' file must state it.',
  )
  box: str | None = setting(
    None,
    'Lift only the person in this box: left, top, width, height in pixels; of a'
    ' video, in the first image, or, with @120 at the end, in that of number'
    ' 120.',
  )
  people: int | None = setting(
    None,
    'Lift this many people of an image or video, the most prominent ones; by'
    f' default everybody. With --hands, up to this many hands; by default'
    f' {MAX_HANDS}.',
    POSITIVE,
  )
  detector: str = setting(
    'mediapipe',
    'Detect people with this (rtmlib needs the extra rtm).',
    choices=DETECTORS,
  )
  detector_model: str = setting(
    '',
    'Detect with a downloaded network: a .task file of MediaPipe, or the .onnx'
    ' files of a detector and a pose network for rtmlib, joined by a comma.',
  )
  camera: int | None = setting(
    None,
    'Record the camera of this number, and lift the people; or, with --live,'
    ' lift them while it films.',
    NOT_NEGATIVE,
  )
  seconds: float = setting(
    10.0,
    'Record --camera for this many seconds.',
    Range('above 0, up to 600', lambda x: 0 < x <= 600),
  )
  joint_set: str = setting(
    '',
    f'Set which joints were detected ({", ".join(JOINT_SETS)}, or of another'
    ' skeleton: own, or those of its file); if empty, their names or their'
    ' number decide.',
  )
  fps: float | None = setting(
    None,
    'Set the frame rate, which networks that see time need; by default that of'
    ' the video, or else 30. With --live, lift this many images per second;'
    ' by default, as many as this computer manages.',
    FPS,
  )


def check_sources(flags: SourceFlags) -> None:
  """Raises a SettingError unless the flags name one source, and suit it."""
  names = ('detections', 'image', 'video', 'camera')
  given = [name for name in names if getattr(flags, name) is not None]
  if not given:
    raise SettingError('give `detections`, `image`, `video` or `camera`')
  pairs = ['detections', 'image'], ['detections', 'video']
  if len(given) > 1 and given not in pairs:
    raise SettingError(f'{" and ".join(f"`{n}`" for n in given)}: give one')
  if flags.hands:
    for name in ('box', 'detector'):
      if getattr(flags, name) != getattr(SourceFlags, name):
        raise SettingError(f'`{name}`: has no meaning with `hands`')
  if flags.box and flags.people:
    raise SettingError('`box` and `people`: give one')
  if flags.box and '@' in flags.box and given[0] != 'video':
    raise SettingError(f'`box={flags.box}`: only a video has images after @')
  if given[0] == 'detections':
    for name in ('box', 'people', 'detector', 'detector_model'):
      if getattr(flags, name) != getattr(SourceFlags, name):
        raise SettingError(f'`{name}`: has no meaning with `detections`')
  if given[0] != 'detections':
    for name in ('joint_set', 'image_size'):
      if getattr(flags, name):
        raise SettingError(f'`{name}`: is only for `detections`')
  for name in ('detections', 'image', 'video'):
    if (path := getattr(flags, name)) is not None:
      check_exists(name, path)
  read_size(flags.image_size)


def read_size(text: str) -> tuple[int, int] | None:
  """Parses a size such as 1920x1080; None if the text is empty."""
  if not text:
    return None
  match = re.fullmatch(r'(\d{1,6})[xX*,](\d{1,6})', text)
  if not match or not all(map(int, match.groups())):
    raise SettingError(
      f'`image_size={text}`: give width and height in pixels, such as 1920x1080'
    )
  return int(match[1]), int(match[2])
