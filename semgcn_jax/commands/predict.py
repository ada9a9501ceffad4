"""Lifts people to poses in 3D, and writes them to a file.

They come from the keypoints of any detector, in every format that
prepare_data.py reads and as arrays (npy, npz), or from pictures, videos and
cameras, in which MediaPipe then finds them. A network that was trained on
pictures finds the person in a picture itself.
"""

import dataclasses
import functools
import pathlib
import re
import time
from collections.abc import Sequence

import numpy as np
import rich.progress

from semgcn_jax.commands.outputs import (
  PeopleFlags,
  check_output_flags,
  output_setting,
)
from semgcn_jax.commands.running import run
from semgcn_jax.commands.shared_flags import (
  CacheFlags,
  RunFlags,
  checkpoint_setting,
  use_compilation_cache,
)
from semgcn_jax.config.fields import NOT_NEGATIVE, Range, setting
from semgcn_jax.detections import mediapipe
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.formats.writers import DATA, MOTION, SHOWN, write_people
from semgcn_jax.inference import people
from semgcn_jax.inference.image_lifter import ImageLifter
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.pictures.videos import Album, Video, read_album, read_image
from semgcn_jax.runs.checkpoints import Network, restore_network

ENDINGS = (*DATA, *SHOWN, *MOTION)
# The weights in the box for single frames, and for clips.
SINGLE, OVER_TIME = 'cmu', 'cmu-video'


@dataclasses.dataclass(frozen=True)
class PredictFlags(people.Options, PeopleFlags, CacheFlags, RunFlags):
  """The flags of the command."""

  renamed = {'keypoints': 'detections'}
  checkpoint: str = checkpoint_setting(
    f'If empty, lift by {OVER_TIME} who is followed for long enough, and by'
    f' {SINGLE} the others; otherwise lift by',
    '',
  )
  output: str = output_setting(ENDINGS)
  detections: str | None = setting(
    None,
    "Lift the keypoints in this file, in a clip's folder of a file for each"
    ' frame, or in a folder of clips.',
  )
  image: str | None = setting(
    None,
    'Find and lift the people in this picture; with --detections it is their'
    ' picture.',
  )
  video: str | None = setting(
    None,
    'Find and lift one person in this video; with --detections it is their'
    ' video.',
  )
  image_size: str = setting(
    '',
    'Say how large the images are in pixels, such as 1920x1080; if empty, the'
    ' file must tell.',
  )
  box: str | None = setting(
    None,
    'Find the person in this box alone: left, top, width, height in pixels.',
  )
  camera: int | None = setting(
    None,
    'Film with the camera of this number, and find and lift one person.',
    NOT_NEGATIVE,
  )
  seconds: float = setting(
    10.0,
    'Film with --camera for so many seconds.',
    Range('above 0, up to 600', lambda x: 0 < x <= 600),
  )


def lift(flags: PredictFlags) -> None:
  """Lifts what the flags name.

  Raises:
    SettingError: A flag is wrong.
    UserError: A file is damaged or not usable.
  """
  began = time.monotonic()
  check_output_flags(flags, ENDINGS)
  _check_sources(flags)
  if flags.fps is not None:
    _check_cutoff(flags, flags.fps)
  use_compilation_cache(flags)
  name = flags.checkpoint or SINGLE
  if not flags.checkpoint and (
    flags.only_seed is not None or flags.which != 'best'
  ):
    raise SettingError('`which`, `only_seed`: are of a run; give `checkpoint`')
  network = restore_network(name, flags.which)
  if network.config.model.backbone:
    _lift_image(flags, network, began)
    return
  clips, albums, rate = _read_clips(flags)
  fps = flags.fps if flags.fps is not None else rate or 30.0
  _check_cutoff(flags, fps)
  lifter = Lifter.of(network, flags.only_seed, name)
  over_time = None
  if not flags.checkpoint and any(len(clip.frames) > 1 for clip in clips):
    over_time = Lifter.load(OVER_TIME)
  joint_set = flags.joint_set if flags.detections else 'mediapipe'
  options = dataclasses.replace(flags, joint_set=joint_set, fps=fps)
  found = []
  for clip in rich.progress.track(
    clips, 'lifting', transient=True, disable=len(clips) == 1
  ):
    found += people.lift_clip(lifter, clip, options, over_time)
  if not found:
    raise UserError(f'{flags.detections}: no person in any frame')
  told = ('smooth', 'cutoff', 'joint_set', 'height', 'min_confidence')
  told += ('focal_length', 'field_of_view', 'fps')
  names = f'{OVER_TIME}, {SINGLE}' if over_time else name
  details = {'checkpoint': names} | {n: getattr(options, n) for n in told}
  title = pathlib.PurePath(clips[0].source).name
  title += f' and {len(clips) - 1} more' if len(clips) > 1 else ''
  write_people(
    flags, found, fps=fps, details=details, title=title, albums=albums
  )
  poses = sum(len(person.frames) for person in found)
  missing = sum(int(np.isnan(p.poses[:, 0, 0]).sum()) for p in found)
  few = f', of which {missing} have too few keypoints' if missing else ''
  print(
    f'{flags.output}: {poses:,} poses{few}, of {len(found)} people in'
    f' {len(clips)} clips, at {fps:g} frames a second, in'
    f' {time.monotonic() - began:.1f} s'
  )


def _lift_image(flags: PredictFlags, network: Network, began: float) -> None:
  """Lifts the person in a picture by a network that sees pictures.

  Raises:
    SettingError: A flag has no meaning for it.
    UserError: The picture cannot be read.
  """
  if flags.image is None or flags.detections is not None:
    raise SettingError(
      f'`checkpoint={flags.checkpoint}`: takes a picture; give `image`, and'
      ' `box` where the person does not fill it'
    )
  for name in (
    *('min_confidence', 'focal_length', 'field_of_view', 'height'),
    *('smooth', 'cutoff', 'fps'),
  ):
    if getattr(flags, name) != getattr(PredictFlags, name):
      raise SettingError(
        f'`{name}`: has no meaning with `backbone`; leave it out'
      )
  path = pathlib.Path(flags.image)
  picture = read_image(path)
  album = Album(longest=1280)
  album.add(0, picture)
  person = ImageLifter.of(network, flags.only_seed).lift(
    picture, _read_box(flags.box), path.stem
  )
  details = {
    'checkpoint': flags.checkpoint,
    'fps': 1.0,
    'joint_set': network.config.data.skeleton,
  }
  write_people(
    flags,
    [person],
    fps=1.0,
    details=details,
    title=path.name,
    skeleton=network.skeleton,
    albums={person.clip: album},
  )
  print(f'{flags.output}: 1 pose, in {time.monotonic() - began:.1f} s')


def _check_cutoff(flags: PredictFlags, fps: float) -> None:
  """Checks the frequency that is smoothed to, if it is."""
  if flags.smooth != 'none' and not 0 < flags.cutoff < fps / 2:
    raise SettingError(
      f'`cutoff={flags.cutoff}`: must be above 0 and below half of `fps`,'
      f' which is {fps:g}'
    )


def _check_sources(flags: PredictFlags) -> None:
  """Checks that the flags name one source of people, and nothing in vain."""
  if flags.detections == '':
    raise SettingError('`detections`: is empty; name a file or a folder')
  names = ('detections', 'image', 'video', 'camera')
  given = [name for name in names if getattr(flags, name) is not None]
  if not given:
    raise SettingError('give `detections`, `image`, `video` or `camera`')
  if len(given) > 1 and given not in (
    ['detections', 'image'],
    ['detections', 'video'],
  ):
    raise SettingError(f'{" and ".join(f"`{n}`" for n in given)}: give one')
  if given[0] == 'detections' and flags.box:
    raise SettingError('`box`: has no meaning with `detections`')
  if given[0] != 'detections':
    for name in ('joint_set', 'image_size'):
      if getattr(flags, name):
        raise SettingError(f'`{name}`: has a meaning with `detections` alone')


def _read_clips(
  flags: PredictFlags,
) -> tuple[list[people.Clip], dict[str, Album], float | None]:
  """Reads the clips that the flags name.

  Returns:
    The clips, their pictures by their names, and the frames a second, if known.
  """
  box = _read_box(flags.box)
  if flags.detections is None and flags.image is not None:
    clip, album = mediapipe.detect_image(pathlib.Path(flags.image), box)
    everybody = list(clip.frames[0])
    if box is None and len(everybody) > 1:
      print(_told(flags.image, everybody))
    return [clip], {clip.name: album}, None
  if flags.detections is None:
    if flags.camera is not None:
      name = f'camera {flags.camera}'
      video = Video(flags.camera, flags.seconds)
    else:
      assert flags.video is not None  # See `_check_sources`.
      path = pathlib.Path(flags.video)
      name, video = path.stem, Video(path)
    clip, album, everybody = mediapipe.detect_video(video, name, box)
    if len(everybody) > 1:
      print(_told(video.name, everybody) + '; the first is followed')
    return [clip], {clip.name: album}, video.fps
  size, album, rate = _read_size(flags.image_size), None, None
  found = people.find_clips(pathlib.Path(flags.detections))
  if shown := flags.image or flags.video:
    if len(found) > 1:
      raise SettingError(
        '`image`, `video`: are of one clip, but `detections` names'
        f' {len(found)}; name one of them'
      )
    album, picture_size, rate = read_album(pathlib.Path(shown))
    size = size or picture_size
  clips = [people.read_clip(name, paths, size) for name, paths in found.items()]
  return clips, {clip.name: album for clip in clips if album}, rate


def _told(source: str, everybody: Sequence[mediapipe.Person]) -> str:
  """Says whom a picture shows, and where."""
  boxes = []
  for person in everybody:
    left, top, right, bottom = mediapipe.box_of(person)
    boxes.append(f'--box={left},{top},{right - left},{bottom - top}')
  return (
    f'{source}: {len(everybody)} people; choose one by {" or ".join(boxes)}'
  )


def _read_box(text: str | None) -> mediapipe.Box | None:
  """Reads a box such as 10,20,100,300."""
  if text is None:
    return None
  try:
    x, y, width, height = map(float, text.split(','))
    if not (abs(x) + abs(y) < 1e6 and 0 < width < 1e6 and 0 < height < 1e6):
      raise ValueError
  except ValueError as error:
    raise SettingError(
      f'`box={text}`: give left, top, width and height in pixels,'
      ' such as 10,20,100,300'
    ) from error
  return x, y, width, height


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


main = functools.partial(run, __doc__, lift, PredictFlags)
