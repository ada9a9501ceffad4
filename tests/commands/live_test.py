"""predict.py --live, as users call it."""

import json
import re
import signal
import socket
import threading
import time

import numpy as np
import painted
import pytest
from command_line import fails, run, start
from timed import make_lifter

from semgcn_jax.commands import live
from semgcn_jax.inference import lifter


class Walk(painted.Painted):
  """A painted person who walks, and one who comes later, for 4 seconds."""

  fps = 30.0

  def __init__(self, *_):
    super().__init__(
      [
        {1: (20 + t % 9, 30)} | ({2: (200, 20)} if t > 60 else {})
        for t in range(120)
      ]
    )


@pytest.fixture
def filmed(seen, monkeypatch, tmp_path):
  """The name of a video that shows a `Walk`."""
  monkeypatch.setattr(live, 'Video', Walk)
  network = make_lifter(causal=True)
  monkeypatch.setattr(lifter.Lifter, 'of', classmethod(lambda cls, *_: network))
  path = tmp_path / 'walk.mp4'
  path.touch()
  return path


def test_everybody_is_sent_and_shown(filmed, monkeypatch):
  messages = []
  monkeypatch.setattr(
    live.PageServer,
    'publish',
    lambda self, text: messages.append(json.loads(text)),
  )
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
    inbox.bind(('127.0.0.1', 0))
    address = f'udp://127.0.0.1:{inbox.getsockname()[1]}'
    inbox.settimeout(60)
    sent = []

    def receive():
      while (data := inbox.recv(65535)) != b'end':
        sent.append(json.loads(data))

    thread = threading.Thread(target=receive)
    thread.start()
    code, out, err = run(
      'predict', f'--video={filmed}', '--live', f'--send={address}',
      '--port=0', '--browser=false', '--pitch=3',
    )  # fmt: skip
    assert (code, err) == (0, ''), err
    inbox.sendto(b'end', inbox.getsockname())
    thread.join()
  assert re.search(r'http://127.0.0.1:\d+/ shows walk.mp4; Ctrl-C', out)
  assert re.search(r'walk.mp4: \d+ images at \d+\.\d per second, lifted', out)
  counts = [len(message['people']) for message in messages]
  assert counts[-1] == 2 and 1 in counts
  assert counts == [len(message['people']) for message in sent]
  last, there = messages[-1], sent[-1]
  assert last['size'] == list(painted.SIZE)
  assert last['picture'].startswith('data:image/jpeg;base64,')
  assert last['note'] == 'The camera looks down by 3°.'
  for shown, person in zip(last['people'], there['people'], strict=True):
    assert shown['name'] == str(person['number'])
    positions = np.reshape(shown['positions'], (16, 3)) / 1000
    np.testing.assert_allclose(positions, person['positions'], atol=6e-4)
    assert len(shown['keypoints']) == 32 and len(shown['confidence']) == 16


@pytest.mark.parametrize(
  'flags, message',
  [
    (['--live'], '--live: give either --camera or --video'),
    (['--live', '--image=a.jpg'], '--live: give either'),
    (
      ['--live', '--video=a.mp4', '--output=a.html'],
      '--output: has no meaning',
    ),
    (['--live', '--video=a.mp4', '--height=2'], '--height: has no meaning'),
    (['--live', '--video=a.mp4', '--port=-1'], '--port=-1: '),
    (['--video=a.mp4', '--output=b.html', '--port=3'], '--port: is only for'),
    (['--video=a.mp4'], 'give --output, or --live'),
    (['--live', '--video=a.mp4', '--checkpoint=cmu'], 'sees single frames'),
  ],
)
def test_flags_that_do_not_fit(flags, message, seen, monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'a.mp4').touch()
  monkeypatch.setattr(live, 'Video', Walk)
  fails('predict', *flags, status=2, message=message)


def test_images_are_due_at_the_rate():
  pictures = [(0.04 * t, t) for t in range(100)]
  assert list(live._due(pictures, None)) == pictures
  taken = [t for t, _ in live._due(pictures, 10.0)]
  steps = np.diff(taken)
  assert steps.min() >= 0.08 - 1e-9 and abs(steps.mean() - 0.1) < 0.005
  # After a pause, those that were due meanwhile are not caught up with.
  late = [(t, 0) for t in (0.0, 0.1, 5.0, 5.01, 5.02, 5.1, 5.2)]
  assert len(list(live._due(late, 10.0))) <= 6


@pytest.mark.slow
def test_ctrl_c_ends_it(mediapipe_weights, chromium, tmp_path):
  """In a browser, by the real detector, on a video without anybody."""
  import cv2

  path = tmp_path / 'gray.avi'
  writer = cv2.VideoWriter(
    str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (320, 240)
  )
  for number in range(600):
    writer.write(np.full((240, 320, 3), 100 + number % 50, np.uint8))
  writer.release()
  process = start(
    'predict', f'--video={path}', '--live', '--browser=false', '--port=0'
  )
  address = re.search(r'http\S+', process.stdout.readline())[0]
  logged = []
  tab = chromium.new_page()
  tab.on('pageerror', lambda error: logged.append(str(error)))
  tab.goto(address)
  tab.wait_for_function('window.live && live.count > 5')
  assert tab.evaluate('live.delay') < 5000
  process.send_signal(signal.SIGINT)
  began = time.monotonic()
  out, err = process.communicate(timeout=20)
  assert time.monotonic() - began < 10
  assert process.returncode == 0, err
  assert 'images at' in out
  tab.get_by_text('The program has ended.').wait_for()
  assert logged == []
