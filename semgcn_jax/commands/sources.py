"""The flags that name what predict.py lifts, and the reading of it."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from semgcn_jax.commands.parsing import Flags
from semgcn_jax.config.fields import (
  FPS,
  NOT_NEGATIVE,
  POSITIVE,
  Range,
  setting,
)
from semgcn_jax.detections.clip_files import find_clips, read_clips
from semgcn_jax.detections.clips import Clip
from semgcn_jax.detections.detecting import (
  NAMES,
  Detector,
  detect_image,
  detect_video,
)
from semgcn_jax.detections.finding import box_of
from semgcn_jax.detections.hands import MOST, hands_of_image, hands_of_video
from semgcn_jax.errors import SettingError, UserError, printable
from semgcn_jax.formats import pose_files
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.geometry.skeletons import H36M, OWN, Skeleton
from semgcn_jax.pictures.crops import Box, read_box
from semgcn_jax.pictures.videos import Album, Video, read_album


@dataclasses.dataclass(frozen=True)
class SourceFlags(Flags):
  """The flags of `read_sources`."""

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
    f' {MOST}.',
    POSITIVE,
  )
  detector: str = setting(
    'mediapipe',
    'Detect people with this (rtmlib needs the extra rtm).',
    choices=NAMES,
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
  if flags.detections == '':
    raise SettingError('`detections`: is empty; name a file or a folder')
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


def read_sources(
  flags: SourceFlags,
  found: Mapping[str, Sequence[pathlib.Path]] | None = None,
  skeleton: Skeleton = H36M,
  lifted: Sequence[str] = (),
) -> list[Clip]:
  """Reads the clips that the flags name, or detects people in images.

  Args:
    flags: The flags.
    found: The clips of `detections` to read; None finds all of them.
    skeleton: The skeleton to lift to.
    lifted: The joint sets that the network lifts.
  """
  if flags.detections is not None:
    found = found or find_clips(pathlib.Path(flags.detections))
    return _read_detections(flags, found, skeleton, lifted)
  if flags.hands:
    return [dataclasses.replace(_read_hands(flags), skeleton=skeleton)]
  detector = Detector(flags.detector, flags.detector_model)
  box, box_at = (None, 0) if flags.box is None else _read_box(flags.box)
  if flags.image is not None:
    path = pathlib.Path(flags.image)
    clip = detect_image(path, detector, box=box, most=flags.people)
  else:
    name, video = _open_video(flags)
    clip = detect_video(
      *(video, name, detector), box=box, box_at=box_at, most=flags.people
    )
  if len(clip.people) > 1:
    print(printable(_people_line(clip)))
  return [dataclasses.replace(clip, fps=flags.fps or clip.fps)]


def _open_video(flags: SourceFlags) -> tuple[str, Video]:
  """Opens the video or camera that the flags name; also returns its name."""
  if flags.camera is not None:
    return f'camera {flags.camera}', Video(flags.camera, flags.seconds)
  assert flags.video is not None  # See `check_sources`.
  path = pathlib.Path(flags.video)
  return path.stem, Video(path)


def _read_hands(flags: SourceFlags) -> Clip:
  """Detects hands in the images that the flags name."""
  options = {'model': flags.detector_model, 'most': flags.people or MOST}
  if flags.image is not None:
    clip = hands_of_image(pathlib.Path(flags.image), **options)
  else:
    name, video = _open_video(flags)
    clip = hands_of_video(video, name, **options)
  return dataclasses.replace(clip, fps=flags.fps or clip.fps)


def _read_box(text: str) -> tuple[Box, int]:
  """Parses a box, and the number of its image after an @."""
  box, at, number = text.partition('@')
  if at and not re.fullmatch(r'\d{1,7}', number):
    raise SettingError(
      f'`box={text}`: give the number of an image after @, such as'
      ' 10,20,100,300@120'
    )
  return read_box(box), int(number or 0)


def _read_detections(
  flags: SourceFlags,
  found: Mapping[str, Sequence[pathlib.Path]],
  skeleton: Skeleton,
  lifted: Sequence[str],
) -> list[Clip]:
  """Reads clips of --detections, with their images if given."""
  album = None
  if shown := flags.image or flags.video:
    if len(found) > 1:
      raise SettingError(
        '`image`, `video`: show one clip, but `detections` names'
        f' {len(found)}; name one of them'
      )
    album = read_album(pathlib.Path(shown))
  first, *others = [path for paths in found.values() for path in paths]
  if not others and pose_files.is_pose_file(first):
    clips, _ = pose_files.read_poses(first)
    if any(clip.skeleton.joints != skeleton.joints for clip in clips):
      raise UserError(
        f'{first}: has other joints than the network lifts; give'
        ' `checkpoint` the one that wrote it'
      )
    clips = [dataclasses.replace(clip, skeleton=skeleton) for clip in clips]
    return [_unlifted(clip, flags.fps, album) for clip in clips]
  size = read_size(flags.image_size)
  options = {
    'joint_set': flags.joint_set,
    'fps': flags.fps,
    'pictures': album,
    'skeleton': skeleton,
    'lifted': lifted,
  }
  clips = []
  for name, paths in found.items():
    clips += read_clips(name, paths, image_size=size, **options)
  return clips


def _unlifted(clip: Clip, fps: float | None, album: Album | None) -> Clip:
  """Returns a clip that predict.py wrote as if read from detections."""
  people = [
    dataclasses.replace(person, keypoints=np.nan_to_num(person.keypoints))
    for person in clip.people
    if person.keypoints is not None
  ]
  return dataclasses.replace(
    clip,
    people=tuple(people),
    fps=fps or clip.fps,
    pictures=album,
    joint_set=_joint_set_of(clip.skeleton),
    is_named=True,
  )


def _joint_set_of(skeleton: Skeleton) -> str:
  """Returns the joint set of a skeleton's own joints."""
  return 'h36m' if skeleton == H36M else OWN


def _people_line(clip: Clip) -> str:
  """Formats where the people of a clip are when they come."""
  boxes = []
  for person in clip.people:
    assert person.keypoints is not None
    left, top, right, bottom = box_of(person.keypoints[0])
    first = f'@{person.frames[0]}' if person.frames[0] else ''
    boxes.append(f'--box={left},{top},{right - left},{bottom - top}{first}')
  return (
    f'{clip.source}: {len(boxes)} people; choose one with {" or ".join(boxes)}'
  )


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
