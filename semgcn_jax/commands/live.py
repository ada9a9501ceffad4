"""Shows and sends the people of a camera or video while it films."""

import dataclasses
import json
import pathlib
import time
import webbrowser
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich

from semgcn_jax.commands.sources import SourceFlags
from semgcn_jax.config.fields import Range, setting
from semgcn_jax.detections.detecting import Detector, joint_set_of
from semgcn_jax.detections.watching import watcher
from semgcn_jax.errors import SettingError, UserError, counted
from semgcn_jax.figures.page import page_html, picture_url
from semgcn_jax.geometry import rates
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.live.lifting import Pose, Stage
from semgcn_jax.live.newest import Newest
from semgcn_jax.live.sending import open_sender
from semgcn_jax.live.server import PageServer
from semgcn_jax.pictures import images
from semgcn_jax.pictures.videos import Video

_LONGEST = 640  # Of the images on the page, pixels.
_TRIAL = 1.5  # Seconds in which the rate of images is measured,
_SLOW = 3  # after as many images, which take longer.
# The flags of predict.py that say how to write files, or whom to lift.
_OF_FILES = (
  *('output', 'formats', 'clip', 'person', 'joint_names', 'height', 'smooth'),
  *('cutoff', 'box', 'people', 'detections', 'image', 'seconds'),
)


@dataclasses.dataclass(frozen=True)
class LiveFlags(SourceFlags):
  """The flags of `show_live`."""

  live: bool = setting(
    False,
    'Show the people of --camera in a browser while it films, or of --video'
    ' while it plays, until Ctrl-C; write no file.',
  )
  send: tuple[str, ...] = setting(
    (),
    'With --live, send the poses there: osc://HOST:PORT (VMC, needs the extra'
    ' live), udp://HOST:PORT (JSON).',
  )
  port: int = setting(
    8765,
    'With --live, serve the page at this port of this computer, which no other'
    ' one reaches; 0 takes any that is free.',
    Range('from 0 to 65535', lambda x: 0 <= x <= 65535),
  )
  browser: bool = setting(True, 'With --live, open the page in a browser.')


def check_live(flags: LiveFlags) -> None:
  """Raises a SettingError if flags have no meaning with, or without, --live."""
  if not flags.live:
    for name in ('send', 'port', 'browser'):
      if getattr(flags, name) != getattr(LiveFlags, name):
        raise SettingError(f'`{name}`: is only for `live`')
    return
  if (flags.camera is None) == (flags.video is None):
    raise SettingError('`live`: give either `camera` or `video`')
  for name in _OF_FILES:
    if getattr(flags, name) != getattr(type(flags), name):
      raise SettingError(f'`{name}`: has no meaning with `live`')


def show_live(
  flags: LiveFlags,
  lifter: Lifter,
  *,
  pitch: float | None = None,
  **options: Any,
) -> None:
  """Shows and sends people until the video ends, or Ctrl-C.

  Args:
    flags: The flags.
    lifter: A causal lifter.
    pitch: The angle by which the camera looks down, degrees, if known.
    **options: See `arguments.Options`.
  """
  detector = Detector(flags.detector, flags.detector_model)
  fps = flags.fps or _measure(flags, detector)
  senders = [open_sender(address, fps) for address in flags.send]
  video = _open(flags)
  page = page_html([], title=video.name.strip('`'), live=True)
  with (
    PageServer(page, flags.port) as server,
    Newest(video, paced=flags.camera is None) as newest,
    watcher(detector, fps) as watch,
    rich.get_console().status('waiting for people') as status,
  ):
    print(f'{server.address} shows {video.name}; Ctrl-C ends it', flush=True)
    if flags.browser:
      webbrowser.open(server.address)
    count, delays, rate = 0, [], 0.0
    began, stage = time.monotonic(), None
    try:
      for taken, picture in newest:
        found = watch(count, picture)
        if found and stage is None:
          joint_set = joint_set_of(next(iter(found.values())))
          size = picture.shape[1], picture.shape[0]
          stage = Stage(lifter, joint_set, size, fps, pitch=pitch, **options)
        people = [] if stage is None else stage.advance(found)
        for send in senders:
          send(time.monotonic() - began, people)
        note = '' if stage is None else _note(stage)
        server.publish(_message(taken, picture, people, note))
        count += 1
        delays.append(time.time() - taken)
        del delays[:-1000]
        rate = count / (time.monotonic() - began)
        status.update(
          f'{counted(len(people), "person", "people")},'
          f' {rate:.1f} images per second'
        )
    except KeyboardInterrupt:
      pass
    if count:
      print(
        f'{video.name}: {counted(count, "image")} at {rate:.1f} per second,'
        f' shown {1000 * float(np.median(delays)):.0f} ms after they were taken'
      )


def _open(flags: LiveFlags) -> Video:
  """Opens the camera or the video."""
  if flags.camera is not None:
    return Video(flags.camera)
  assert flags.video is not None  # See `check_live`.
  return Video(pathlib.Path(flags.video))


def _measure(flags: LiveFlags, detector: Detector) -> float:
  """Measures how many images per second the detector takes."""
  with (
    Newest(_open(flags), paced=flags.camera is None) as newest,
    watcher(detector, rates.DEFAULT) as watch,
  ):
    began, count = time.monotonic(), 0
    for number, (_, picture) in enumerate(newest):
      watch(number, picture)
      if number < _SLOW:
        began = time.monotonic()
      elif time.monotonic() - began > _TRIAL:
        count = number + 1 - _SLOW
        break
  if not count:
    raise UserError('`live`: the video is over in a moment; lift it instead')
  return min(
    max(count / (time.monotonic() - began), rates.LOWEST), rates.HIGHEST
  )


def _note(stage: Stage) -> str:
  """Says how the camera looks."""
  way = 'down' if stage.pitch >= 0 else 'up'
  return f'The camera looks {way} by {abs(stage.pitch):.0f}°.'


def _message(
  taken: float, picture: np.ndarray, people: Sequence[Pose], note: str
) -> str:
  """Encodes what the page shows of an image; live.js decodes it."""

  def rounded(array: np.ndarray, scale: float) -> list[int]:
    return np.round(np.nan_to_num(array) * scale).astype(int).ravel().tolist()

  shown = []
  for person in people:
    found = person.keypoints[:, 2] > 0
    places = np.where(found[:, None], person.keypoints[:, :2], np.nan)
    shown.append(
      {
        'name': str(person.number),
        'positions': rounded(person.positions, 1000),
        'expected': rounded(person.errors, 1000),
        'keypoints': [
          None if np.isnan(x) else round(x, 1) for x in places.ravel().tolist()
        ],
        'confidence': np.minimum(person.keypoints[:, 2], 1).round(2).tolist(),
      }
    )
  return json.dumps(
    {
      'taken': round(1000 * taken),
      'size': (picture.shape[1], picture.shape[0]),
      'picture': picture_url(images.to_jpeg(picture, _LONGEST)),
      'people': shown,
      'note': note,
    },
    allow_nan=False,
  )
