"""Lifts people to 3D poses, and writes them to a file.

The input is keypoints of any detector, in every format that prepare_data.py
reads or as arrays (npy, npz), or images, videos and cameras, in which MediaPipe
detects people. A network trained on images needs no detector.
"""

import dataclasses
import functools
import pathlib
import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.progress

from semgcn_jax.commands import outputs, shared_flags
from semgcn_jax.commands.running import run
from semgcn_jax.config.fields import (
  FPS,
  NOT_NEGATIVE,
  POSITIVE,
  Range,
  between,
  setting,
)
from semgcn_jax.detections import mediapipe
from semgcn_jax.detections.clip_files import find_clips, read_clips
from semgcn_jax.detections.clips import Clip
from semgcn_jax.errors import SettingError, UserError, counted, printable
from semgcn_jax.formats import pose_files
from semgcn_jax.formats.writers import WRITERS
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.inference.image_lifter import ImageLifter
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.people import check_clip, lift_clip
from semgcn_jax.inference.placing import HEIGHT_RANGE, is_height
from semgcn_jax.motion.smoothing import METHODS, smooth
from semgcn_jax.pictures.crops import read_box
from semgcn_jax.pictures.images import read_image
from semgcn_jax.pictures.videos import Album, Video, read_album
from semgcn_jax.runs.checkpoints import Network, restore_network

# The bundled weights for single frames, and for clips.
SINGLE, OVER_TIME = 'cmu', 'cmu-video'
# The flags that `check_clip` and `lift_clip` take.
_OPTIONS = ('min_confidence', 'focal_length', 'field_of_view')


@dataclasses.dataclass(frozen=True)
class PredictFlags(outputs.ClipFlags):
  """The flags of the command."""

  renamed = {'keypoints': 'detections'}
  checkpoint: str = shared_flags.checkpoint_setting(
    f'If empty, lift with {OVER_TIME} whoever is tracked for long enough, and'
    f' the others with {SINGLE}; otherwise lift with',
    '',
  )
  output: str = outputs.output_setting(WRITERS)
  detections: str | None = setting(
    None,
    "Lift the keypoints in this file, in a clip's folder of one file per frame,"
    ' or in a folder of clips.',
  )
  image: str | None = setting(
    None, 'Lift the people in this image; with --detections, show it.'
  )
  video: str | None = setting(
    None, 'Lift one person in this video; with --detections, show it.'
  )
  image_size: str = setting(
    '',
    'Set the size of the images in pixels, such as 1920x1080; if empty, the'
    ' file must state it.',
  )
  box: str | None = setting(
    None, 'Look only in this box: left, top, width, height in pixels.'
  )
  camera: int | None = setting(
    None, 'Record the camera of this number, and lift one person.', NOT_NEGATIVE
  )
  seconds: float = setting(
    10.0,
    'Record --camera for this many seconds.',
    Range('above 0, up to 600', lambda x: 0 < x <= 600),
  )
  joint_set: str = setting(
    '',
    'Set which joints were detected; if empty, their number decides.',
    choices=('', *JOINT_SETS),
  )
  min_confidence: float = setting(
    0.0, 'Treat keypoints of less confidence as not found.'
  )
  focal_length: float | None = setting(
    None, 'Set the focal length in pixels, if known.', POSITIVE
  )
  field_of_view: float | None = setting(
    None,
    'Set the field of view of the longer side in degrees, if known.',
    between(1, 179),
  )
  height: float | None = setting(
    None,
    'Set the height of the person in metres, if known.',
    Range(HEIGHT_RANGE, is_height),
  )
  smooth: str = setting('none', 'Smooth the poses over time.', choices=METHODS)
  fps: float | None = setting(
    None,
    'Set the frame rate, which networks that see time need; by default that of'
    ' the video, or else 30.',
    FPS,
  )
  check: bool = setting(
    True,
    'Refuse keypoints that are probably not read as they were meant: another'
    ' joint set, shares of the image, y upwards, an impossible lens.',
  )
  cutoff: float = setting(
    3.0, 'Make --smooth keep motion up to this frequency in Hz.'
  )


def lift(flags: PredictFlags) -> None:
  """Lifts what the flags name."""
  began = time.monotonic()
  inputs = flags.detections, flags.image, flags.video
  outputs.check_output_flags(flags, WRITERS, inputs)
  _check_sources(flags)
  if flags.fps is not None:
    _check_cutoff(flags, flags.fps)
  shared_flags.use_compilation_cache(flags)
  name = flags.checkpoint or SINGLE
  if not flags.checkpoint and (
    flags.only_seed is not None or flags.which != 'best'
  ):
    raise SettingError(
      '`which`, `only_seed`: choose from a run; give `checkpoint`'
    )
  network = restore_network(name, flags.which)
  if network.config.model.task == 'pictures':
    _lift_image(flags, network, began)
    return
  clips = _read_clips(flags)
  if not any(clip.people for clip in clips):
    raise UserError(f'{flags.detections}: no person in any frame')
  fps = clips[0].fps
  _check_cutoff(flags, fps)
  lifter = Lifter.of(network, flags.only_seed, name)
  over_time = None
  if not flags.checkpoint and any(len(clip.frames) > 1 for clip in clips):
    over_time = Lifter.load(OVER_TIME)
  options: dict[str, Any] = {n: getattr(flags, n) for n in _OPTIONS}
  if flags.check:
    judge = lifter if name == SINGLE else None
    clips = [check_clip(clip, judge, **options) for clip in clips]
  lifted = []
  for clip in rich.progress.track(
    clips, 'lifting', transient=True, disable=len(clips) == 1
  ):
    clip = lift_clip(lifter, clip, over_time, height=flags.height, **options)
    lifted.append(smooth(clip, flags.smooth, cutoff=flags.cutoff))
  details = options | {
    'height': flags.height,
    'checkpoint': f'{OVER_TIME}, {SINGLE}' if over_time else name,
    'smooth': flags.smooth,
    'cutoff': flags.cutoff,
    'joint_set': clips[0].joint_set,
  }
  title = pathlib.PurePath(clips[0].source).name
  title += f' and {len(clips) - 1} more' if len(clips) > 1 else ''
  outputs.write_chosen(flags, lifted, title=title, details=details)
  print(_summary(flags, lifted, fps, time.monotonic() - began))


def _summary(
  flags: PredictFlags, clips: Sequence[Clip], fps: float, seconds: float
) -> str:
  """Formats one line about what was lifted."""
  people = [person for clip in clips for person in clip.people]
  poses = sum(len(person.frames) for person in people)
  missing = sum(int((~person.is_whole).sum()) for person in people)
  few = f', of which {missing} have too few keypoints' if missing else ''
  return printable(
    f'{flags.output}: {counted(poses, "pose")}{few}, of'
    f' {counted(len(people), "person", "people")} in'
    f' {counted(len(clips), "clip")}, at {fps:g} frames per second, in'
    f' {seconds:.1f} s'
  )


def _lift_image(flags: PredictFlags, network: Network, began: float) -> None:
  """Lifts the person in an image with a network that sees images."""
  if flags.image is None or flags.detections is not None:
    raise SettingError(
      f'`checkpoint={flags.checkpoint}`: takes an image; give `image`, and'
      ' `box` if the person does not fill it'
    )
  for name in (*_OPTIONS, 'height', 'smooth', 'cutoff', 'fps'):
    if getattr(flags, name) != getattr(PredictFlags, name):
      raise SettingError(
        f'`{name}`: has no meaning with a network that takes images; leave'
        ' it out'
      )
  path = pathlib.Path(flags.image)
  box = None if flags.box is None else read_box(flags.box)
  lifter = ImageLifter.of(network, flags.only_seed)
  clip = lifter.lift(read_image(path), box, path.stem)
  details = {
    'checkpoint': flags.checkpoint,
    'joint_set': network.config.data.skeleton,
  }
  outputs.write_chosen(flags, [clip], title=path.name, details=details)
  seconds = time.monotonic() - began
  print(printable(f'{flags.output}: 1 pose, in {seconds:.1f} s'))


def _check_cutoff(flags: PredictFlags, fps: float) -> None:
  """Raises a SettingError if the cutoff of smoothing is out of range."""
  if flags.smooth != 'none' and not 0 < flags.cutoff < fps / 2:
    raise SettingError(
      f'`cutoff={flags.cutoff}`: must be above 0 and below half of `fps`,'
      f' which is {fps:g}'
    )


def _check_sources(flags: PredictFlags) -> None:
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
  if given[0] == 'detections' and flags.box:
    raise SettingError('`box`: has no meaning with `detections`')
  if given[0] != 'detections':
    for name in ('joint_set', 'image_size'):
      if getattr(flags, name):
        raise SettingError(f'`{name}`: is only for `detections`')


def _read_clips(flags: PredictFlags) -> list[Clip]:
  """Reads the clips that the flags name, or detects people in images."""
  if flags.detections is not None:
    return _read_detections(flags, pathlib.Path(flags.detections))
  box = None if flags.box is None else read_box(flags.box)
  if flags.image is not None:
    source, followed = flags.image, ''
    clip, everybody = mediapipe.detect_image(pathlib.Path(source), box)
  else:
    if flags.camera is not None:
      name = f'camera {flags.camera}'
      video = Video(flags.camera, flags.seconds)
    else:
      assert flags.video is not None  # See `_check_sources`.
      path = pathlib.Path(flags.video)
      name, video = path.stem, Video(path)
    clip, everybody = mediapipe.detect_video(video, name, box)
    source, followed = video.name, '; the first is followed'
  if len(everybody) > 1:
    print(printable(_people_line(source, everybody) + followed))
  return [dataclasses.replace(clip, fps=flags.fps or clip.fps)]


def _read_detections(flags: PredictFlags, path: pathlib.Path) -> list[Clip]:
  """Reads the clips of --detections, with their images if given."""
  found, album = find_clips(path), None
  if shown := flags.image or flags.video:
    if len(found) > 1:
      raise SettingError(
        '`image`, `video`: show one clip, but `detections` names'
        f' {len(found)}; name one of them'
      )
    album = read_album(pathlib.Path(shown))
  if path.is_file() and pose_files.is_pose_file(path):
    clips, _ = pose_files.read_poses(path)
    return [_unlifted(clip, flags.fps, album) for clip in clips]
  size = _read_size(flags.image_size)
  options = {'joint_set': flags.joint_set, 'fps': flags.fps, 'pictures': album}
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
    joint_set='h36m',
    is_named=True,
  )


def _people_line(source: str, everybody: Sequence[np.ndarray]) -> str:
  """Formats the boxes of the people in an image, given their keypoints."""
  boxes = []
  for keypoints in everybody:
    left, top, right, bottom = mediapipe.box_of(keypoints)
    boxes.append(f'--box={left},{top},{right - left},{bottom - top}')
  return (
    f'{source}: {len(everybody)} people; choose one with {" or ".join(boxes)}'
  )


def _read_size(text: str) -> tuple[int, int] | None:
  """Parses a size such as 1920x1080."""
  if not text:
    return None
  match = re.fullmatch(r'(\d{1,6})[xX*,](\d{1,6})', text)
  if not match or not all(map(int, match.groups())):
    raise SettingError(
      f'`image_size={text}`: give width and height in pixels, such as 1920x1080'
    )
  return int(match[1]), int(match[2])


main = functools.partial(run, __doc__, lift, PredictFlags)
