"""Reads what the flags of predict.py name."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from semgcn_jax.commands.flags.sources import SourceFlags, read_size
from semgcn_jax.config.choices import MAX_HANDS
from semgcn_jax.detections.clip_files import find_clips, read_clips
from semgcn_jax.detections.clips import Clip
from semgcn_jax.detections.detecting import (
  Detector,
  detect_image,
  detect_video,
)
from semgcn_jax.detections.finding import box_of
from semgcn_jax.detections.hands import hands_of_image, hands_of_video
from semgcn_jax.errors import SettingError, UserError, printable
from semgcn_jax.formats import pose_files
from semgcn_jax.geometry.skeletons import H36M, OWN, Skeleton
from semgcn_jax.pictures.crops import Box, read_box
from semgcn_jax.pictures.videos import Album, Video, read_album


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
  options = {'model': flags.detector_model, 'most': flags.people or MAX_HANDS}
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
