"""Shows and sends the people of a camera or video while it films."""

import collections
import pathlib
import time
import webbrowser
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import rich

from semgcn_jax.commands.flags.live import LiveFlags
from semgcn_jax.detections import mediapipe
from semgcn_jax.detections.detecting import Detector, joint_set_of
from semgcn_jax.detections.watching import watcher
from semgcn_jax.errors import counted
from semgcn_jax.figures.page import page_html
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.live.lifting import Stage
from semgcn_jax.live.messages import message
from semgcn_jax.live.newest import Newest, Rate
from semgcn_jax.live.sending import open_sender
from semgcn_jax.live.server import PageServer
from semgcn_jax.pictures.videos import Video

_FPS = 10.0  # At first: the rate of the networks.


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
  # What it compiles is ready when somebody comes.
  lifter.stream((1280, 720), mediapipe.JOINTS, fps=_FPS, **options)
  senders = [open_sender(address) for address in flags.send]
  title = pathlib.PurePath(flags.video or f'Camera {flags.camera}').name
  detector = Detector(flags.detector, flags.detector_model)
  fps = flags.fps or _FPS
  with (
    PageServer(page_html([], title=title, live=True), flags.port) as server,
    Newest(_open(flags), paced=flags.camera is None) as newest,
    watcher(detector, fps) as watch,
    rich.get_console().status('waiting for people') as status,
  ):
    print(f'{server.address} shows {title}; Ctrl-C ends it', flush=True)
    if flags.browser:
      webbrowser.open(server.address)
    rate = Rate(fps)
    delays, stage = collections.deque(maxlen=1000), None
    count, began = 0, time.time()
    try:
      for count, (taken, picture) in enumerate(_due(newest, flags.fps), 1):
        found = watch(count, picture)
        if found and stage is None:
          joint_set = joint_set_of(next(iter(found.values())))
          size = picture.shape[1], picture.shape[0]
          stage = Stage(
            lifter, joint_set, size, rate.fps, pitch=pitch, **options
          )
        people = stage.advance(taken - began, found) if stage else []
        server.publish(
          message(taken, picture, people, stage.pitch if stage else None)
        )
        delays.append(time.time() - taken)
        for send in senders:
          send(taken - began, people)
        if rate.changes(taken):
          watch.fps = rate.fps
          if stage:
            stage.change_fps(rate.fps)
        status.update(
          f'{counted(len(people), "person", "people")},'
          f' {rate.fps:.1f} images per second'
        )
    except KeyboardInterrupt:
      pass
    if delays:
      print(
        f'{title}: {counted(count, "image")} at'
        f' {count / (time.time() - began):.1f} per second, lifted'
        f' {1000 * float(np.median(delays)):.0f} ms after they were taken'
      )


def _open(flags: LiveFlags) -> Video:
  """Opens the camera or the video."""
  if flags.camera is not None:
    return Video(flags.camera)
  assert flags.video is not None  # See `check_live`.
  return Video(pathlib.Path(flags.video))


def _due(
  pictures: Iterable[tuple[float, np.ndarray]], fps: float | None
) -> Iterator[tuple[float, np.ndarray]]:
  """Skips images that come sooner than at a frame rate, if there is one."""
  due = None
  for taken, picture in pictures:
    due = taken if due is None else due
    if fps is None:
      yield taken, picture
    elif taken >= due - 0.1 / fps:
      due = max(due, taken - 1 / fps) + 1 / fps
      yield taken, picture
