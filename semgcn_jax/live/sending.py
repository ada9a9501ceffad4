"""Sends poses to other programs: VMC over OSC, or JSON over UDP."""

import itertools
import json
import logging
import socket
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from semgcn_jax.detections.following import ABSENT
from semgcn_jax.errors import SettingError, missing_extra
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.live.lifting import Pose
from semgcn_jax.motion import rig

# Takes the seconds since the beginning, and the people.
Send = Callable[[float, Sequence[Pose]], None]

_SCHEMES = ('osc', 'udp')
_MOST_PORT = 65535


def open_sender(address: str) -> Send:
  """Builds a function that sends poses.

  `udp://HOST:PORT` gets a JSON object for each image: the seconds, and the
  people with their numbers, joints (metres, y up) and expected errors.

  `osc://HOST:PORT` gets the messages of the Virtual Motion Capture protocol
  (https://protocol.vmc.info): the rotations of Unity's humanoid bones and the
  place of the hips, left-handed. As it knows one person, each has a port: the
  first one this, the next one the next. It is free for another person once
  theirs was away for two seconds.

  What cannot be sent is noted once, and left out.

  Args:
    address: Where to send them.

  Raises:
    SettingError: The address is none, or python-osc is not installed.
  """
  parts = urllib.parse.urlsplit(address)
  try:
    host, port = parts.hostname, parts.port
  except ValueError:
    host = port = None
  if (
    parts.scheme not in _SCHEMES
    or not (host and port)
    or address != f'{parts.scheme}://{parts.netloc}'
    or parts.username is not None
  ):
    raise SettingError(
      f'`send={address}`: give osc://HOST:PORT or udp://HOST:PORT, such as'
      ' osc://127.0.0.1:39539'
    )
  try:
    family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[
      0
    ]
  except OSError as error:
    raise SettingError(
      f'`send={address}`: there is no host {host} ({error.strerror})'
    ) from error
  rest = place[2:]
  outlet = socket.socket(family, socket.SOCK_DGRAM)
  encode = _json if parts.scheme == 'udp' else _vmc(address)
  noted = False

  def send(seconds, people):
    nonlocal noted
    for step, data in encode(seconds, people):
      try:
        if port + step <= _MOST_PORT:
          outlet.sendto(data, (place[0], port + step, *rest))
      except OSError as error:
        if not noted:
          logging.getLogger('semgcn_jax').warning(
            '--send=%s: cannot send (%s)', address, error.strerror or error
          )
        noted = True

  return send


# Takes what `Send` takes, and yields datagrams: steps from the first port, and
# bytes.
_Encode = Callable[[float, Sequence[Pose]], Iterator[tuple[int, bytes]]]


def _json(
  seconds: float, people: Sequence[Pose]
) -> Iterator[tuple[int, bytes]]:
  """Encodes all people as one datagram."""
  message = {
    'seconds': round(seconds, 3),
    'joints': H36M.joints,
    'people': [
      {
        'number': person.number,
        'positions': person.positions.round(4).tolist(),
        'expected_error': np.nan_to_num(person.errors).round(4).tolist(),
      }
      for person in people
    ],
  }
  yield 0, json.dumps(message).encode()


def _vmc(address: str) -> _Encode:
  """Builds a function that encodes each person as a bundle."""
  try:
    from pythonosc.osc_bundle_builder import OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder
  except ImportError as error:
    needed_by = f'`send={address}`: VMC messages'
    raise missing_extra(needed_by, 'python-osc', 'live', error) from error
  seats: dict[int, tuple[int, float]] = {}  # {number: step, when seen last}

  def encode(seconds, people):
    for number, (_, seen) in list(seats.items()):
      if seconds - seen > ABSENT:
        del seats[number]
    for person in people:
      taken = {step for step, _ in seats.values()}
      free = next(step for step in itertools.count() if step not in taken)
      step, _ = seats.get(person.number, (free, seconds))
      seats[person.number] = step, seconds
      bundle = OscBundleBuilder(0)
      for name, *values in vmc_messages(person.positions, seconds):
        message = OscMessageBuilder(name)
        for value in values:
          message.add_arg(value)
        bundle.add_content(message.build())  # pyright: ignore[reportArgumentType]
      yield step, bundle.build().dgram

  return encode


def vmc_messages(
  positions: np.ndarray, seconds: float
) -> list[tuple[Any, ...]]:
  """Lists the messages of a pose in the room, `[16, 3]`: address and values.

  The protocol is left-handed, with x to the right of a person who faces z, so
  that x and the rotations about y and z change their signs.
  """
  motion = rig.fit(positions[None], rates.DEFAULT)
  still = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
  messages: list[tuple[Any, ...]] = [
    ('/VMC/Ext/OK', 1),
    ('/VMC/Ext/T', seconds),
    ('/VMC/Ext/Root/Pos', 'root', *still),
  ]
  places = motion.offsets.copy()
  places[0] = motion.root[0]
  for name, (x, y, z), (a, b, c, w) in zip(
    rig.NAMES['unity'],
    places.tolist(),
    motion.rotations[0].tolist(),
    strict=True,
  ):
    messages.append(('/VMC/Ext/Bone/Pos', name, -x, y, z, a, -b, -c, w))
  return messages
