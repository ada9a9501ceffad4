"""Poses as datagrams."""

import json
import socket
import sys

import numpy as np
import pytest
from scenes import clip, person
from scipy.spatial.transform import Rotation

from semgcn_jax.errors import SettingError
from semgcn_jax.live import sending
from semgcn_jax.live.lifting import Pose
from semgcn_jax.live.sending import open_sender, vmc_messages
from semgcn_jax.motion import rig
from semgcn_jax.motion.upright import make_scenes


@pytest.fixture
def inbox():
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as box:
    box.bind(('127.0.0.1', 0))
    box.settimeout(5)
    yield box


def positions(count=20):
  [scene] = make_scenes([clip(person(count))])
  return scene.upright[0].positions


def test_json(inbox):
  send = open_sender(f'udp://127.0.0.1:{inbox.getsockname()[1]}')
  joints = positions()[0]
  send(1.25, [Pose(3, np.zeros((16, 3)), joints, np.full(16, np.nan))])
  message = json.loads(inbox.recv(65535))
  assert message['seconds'] == 1.25 and message['joints'][0] == 'Pelvis'
  [shown] = message['people']
  assert shown['number'] == 3 and shown['expected_error'] == [0] * 16
  np.testing.assert_allclose(shown['positions'], joints, atol=6e-5)


def test_the_bones_of_unity_place_the_joints():
  """Unity's rule: left-handed, each bone in the frame of its parent."""
  pose = positions()[-1]
  motion = rig.fit(pose[None], 10.0)
  messages = vmc_messages(pose, 0.5)
  assert messages[:2] == [('/VMC/Ext/OK', 1), ('/VMC/Ext/T', 0.5)]
  bones = {m[1]: m[2:] for m in messages if m[0] == '/VMC/Ext/Bone/Pos'}
  assert len(bones) == len(rig.JOINTS)
  places, turns = {}, {}
  for name, parent in zip(rig.NAMES['unity'], rig.PARENTS, strict=True):
    offset = np.array(bones[name][:3])
    # A rotation in the mirrored frame is the mirror image of the rotation.
    x, y, z, w = bones[name][3:]
    turn = Rotation.from_quat((x, y, z, w)).as_matrix()
    if parent < 0:
      places[name], turns[name] = offset, turn
    else:
      above = rig.NAMES['unity'][parent]
      places[name] = places[above] + turns[above] @ offset
      turns[name] = turns[above] @ turn
  placed = rig.joint_positions(motion)[-1]
  for joint, name in zip(rig.JOINTS, rig.NAMES['unity'], strict=True):
    expected = placed[rig.SOURCES[rig.JOINTS.index(joint)]] * (-1, 1, 1)
    np.testing.assert_allclose(places[name], expected, atol=1e-6)


def test_osc_is_read_by_its_library(inbox):
  osc = pytest.importorskip(
    'pythonosc.osc_bundle', reason='needs the extra live'
  )
  send = open_sender(f'osc://127.0.0.1:{inbox.getsockname()[1]}')
  pose = positions()[3]
  send(0.5, [Pose(1, np.zeros((16, 3)), pose, np.zeros(16))])
  bundle = osc.OscBundle(inbox.recv(65535))
  messages = [(m.address, *m.params) for m in bundle]
  expected = vmc_messages(pose, 0.5)
  assert [m[0] for m in messages] == [m[0] for m in expected]
  for message, wanted in zip(messages[2:], expected[2:], strict=True):
    assert message[1] == wanted[1]
    np.testing.assert_allclose(message[2:], wanted[2:], atol=1e-5)


def test_everybody_keeps_a_port():
  pytest.importorskip('pythonosc', reason='needs the extra live')
  sent = []
  encode = sending._vmc('osc://127.0.0.1:3')
  pose = positions()[0]

  def steps(seconds, *numbers):
    people = [Pose(n, np.zeros((16, 3)), pose, np.zeros(16)) for n in numbers]
    sent.append(dict(zip(numbers, encode(seconds, people), strict=True)))
    return {number: step for number, (step, _) in sent[-1].items()}

  assert steps(0.0, 1, 2) == {1: 0, 2: 1}
  assert steps(0.1, 2) == {2: 1}
  assert steps(0.2, 1, 2, 3) == {1: 0, 2: 1, 3: 2}
  assert steps(1.9, 2) == {2: 1}
  assert steps(2.3, 2, 4) == {2: 1, 4: 0}


def test_what_cannot_be_sent_is_noted_once(caplog):
  pytest.importorskip('pythonosc', reason='needs the extra live')
  joints = positions()[0]
  people = [Pose(n, np.zeros((16, 3)), joints, np.zeros(16)) for n in (1, 2)]
  for address in ('osc://127.0.0.1:65535', 'udp://127.0.0.1:1'):
    open_sender(address)(0.0, people)  # The second person has no port.
  assert caplog.text == ''
  send = open_sender('udp://255.255.255.255:5000')
  send(0.0, people)
  send(0.1, people)
  assert caplog.text.count('--send=udp://255.255.255.255:5000: cannot') == 1


@pytest.mark.parametrize(
  'address',
  [
    '127.0.0.1:3',
    'http://a:3',
    'osc://127.0.0.1',
    'udp://a:99999',
    'udp://:3',
    'udp://a:3/b',
    'udp://a@b:3',
    'udp://a:3?c',
  ],
)
def test_addresses_that_are_none(address):
  with pytest.raises(SettingError, match='give osc://HOST:PORT or udp'):
    open_sender(address)


def test_a_host_that_is_not_there():
  with pytest.raises(SettingError, match='there is no host nobody.invalid'):
    open_sender('udp://nobody.invalid:3')


def test_vmc_needs_python_osc(monkeypatch):
  monkeypatch.setitem(sys.modules, 'pythonosc', None)
  monkeypatch.setitem(sys.modules, 'pythonosc.osc_bundle_builder', None)
  with pytest.raises(SettingError, match=r'python-osc; .*"semgcn-jax\[live\]"'):
    open_sender('osc://127.0.0.1:3')
