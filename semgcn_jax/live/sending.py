"""Sends poses to other programs: VMC over OSC, or JSON over UDP."""

import collections
import json
import socket
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semgcn_jax.errors import SettingError, missing_extra
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.live.lifting import Pose
from semgcn_jax.motion import rig

# Takes the seconds since the beginning, and the people.
Send = Callable[[float, Sequence[Pose]], None]

_SCHEMES = ('osc', 'udp')
_LENGTHS = 30  # The last poses, of which the rig has the median lengths.


def open_sender(address: str, fps: float) -> Send:
  """Builds a function that sends poses.

  `udp://HOST:PORT` gets a JSON object for each image: the seconds, and the
  people with their numbers, joints (metres, y up) and expected errors.

  `osc://HOST:PORT` gets the messages of the Virtual Motion Capture protocol
  (https://protocol.vmc.info): the rotations of Unity's humanoid bones and the
  place of the hips, left-handed. As it knows one person, the second one is sent
  to the next port, and so on.

  Args:
    address: Where to send them.
    fps: The images per second.

  Raises:
    SettingError: The address is none, or python-osc is not installed.
  """
  parts = urllib.parse.urlsplit(address)
  try:
    host, port = parts.hostname, parts.port
  except ValueError:
    host = port = None
  if parts.scheme not in _SCHEMES or not host or not port:
    raise SettingError(
      f'`send={address}`: give osc://HOST:PORT or udp://HOST:PORT, such as'
      ' osc://127.0.0.1:39539'
    )
  try:
    socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
  except OSError as error:
    raise SettingError(
      f'`send={address}`: there is no host {host} ({error.strerror})'
    ) from error
  return _json(host, port) if parts.scheme == 'udp' else _vmc(host, port, fps)


def _json(host: str, port: int) -> Send:
  """Sends one datagram per image."""
  sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

  def send(seconds, people):
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
    sender.sendto(json.dumps(message).encode(), (host, port))

  return send


def _vmc(host: str, port: int, fps: float) -> Send:
  """Sends one bundle per person and image."""
  try:
    from pythonosc.osc_bundle_builder import OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder
    from pythonosc.udp_client import UDPClient
  except Exception as error:  # A broken installation raises anything.
    raise missing_extra(
      '`send=osc://`:', 'python-osc', 'live', error
    ) from error
  clients: list[Any] = []
  recent: dict[int, collections.deque[np.ndarray]] = {}

  def send(seconds, people):
    for number in recent.keys() - {person.number for person in people}:
      del recent[number]
    for place, person in enumerate(people):
      if place == len(clients):
        clients.append(UDPClient(host, port + place))
      positions = recent.setdefault(
        person.number, collections.deque(maxlen=_LENGTHS)
      )
      positions.append(person.positions)
      motion = rig.fit(np.stack(positions), fps)
      bundle = OscBundleBuilder(0)
      for name, *values in vmc_messages(motion, seconds):
        message = OscMessageBuilder(name)
        for value in values:
          message.add_arg(value)
        bundle.add_content(message.build())  # pyright: ignore[reportArgumentType]
      clients[place].send(bundle.build())

  return send


def vmc_messages(motion: rig.Motion, seconds: float) -> list[tuple[Any, ...]]:
  """Lists the messages of the last frame of a motion: address and values.

  The protocol is left-handed, with x to the right of a person who faces z, so
  that x and the rotations about y and z change their signs.
  """
  still = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
  messages: list[tuple[Any, ...]] = [
    ('/VMC/Ext/OK', 1),
    ('/VMC/Ext/T', seconds),
    ('/VMC/Ext/Root/Pos', 'root', *still),
  ]
  places = motion.offsets.copy()
  places[0] = motion.root[-1]
  for name, (x, y, z), (a, b, c, w) in zip(
    rig.NAMES['unity'],
    places.tolist(),
    motion.rotations[-1].tolist(),
    strict=True,
  ):
    messages.append(('/VMC/Ext/Bone/Pos', name, -x, y, z, a, -b, -c, w))
  return messages
