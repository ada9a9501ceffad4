import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import types

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from pictured import broken_inside, encoded, gradient
from tiny import TINY

from semgcn_jax.data import datasets
from semgcn_jax.data.pairs import take
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.pictures.image_files import ImageFiles
from semgcn_jax.runs.progress import Progress
from semgcn_jax.tasks import make_task
from semgcn_jax.training import feeding
from semgcn_jax.training import state as state_lib
from semgcn_jax.training.interrupts import StopRequest
from semgcn_jax.training.progress import ProgressBar
from semgcn_jax.training.trainer import Trainer


def mesh_of(count):
  return Mesh(np.array(jax.devices()[:count]), (state_lib.AXIS,))


def test_where_the_poses_lie():
  mesh = mesh_of(1)
  arrays = {'inputs': np.zeros((10, 16, 2), np.float32)}
  for where, expected in (('resident', True), ('streamed', False)):
    settings = TINY.replace(device_data=where)
    assert feeding.is_resident(arrays, settings.training, mesh) == expected
    files = arrays | {'images': ImageFiles(('a',) * 10, np.zeros((10, 4)), 32)}
    assert not feeding.is_resident(files, settings.training, mesh)
  small = types.SimpleNamespace(memory_stats=lambda: {'bytes_limit': 1000})
  devices = types.SimpleNamespace(devices=[small])
  assert not feeding.is_resident(arrays, TINY.training, devices)
  assert feeding.is_resident(arrays, TINY.training, mesh)


def write_images(folder, count=50, damaged=()):
  """Pictures whose blue tells their row, and with it whose they are."""
  for row in range(count):
    picture = gradient(48, 48)
    picture[..., 2] = 5 * row
    content = encoded(picture)
    content = broken_inside(content) if row in damaged else content
    (folder / f'{row}.jpg').write_bytes(content)
  paths = tuple(str(folder / f'{row}.jpg') for row in range(count))
  return ImageFiles(paths, np.tile([0.0, 0, 48, 48], (count, 1)), 32)


def orders_of(count, devices, seeds=()):
  """The rows of two chunks, of three and two steps of eight."""
  rng = np.random.default_rng(3)
  return [
    rng.integers(count, size=(devices, *seeds, steps, 8 // devices))
    for steps in (3, 2)
  ]


@pytest.mark.parametrize('devices', [1, 2])
def test_streamed_arrays_are_those_of_the_order(devices):
  arrays = {'inputs': np.arange(100.0).reshape(50, 2)}
  orders = orders_of(50, devices)
  mesh = mesh_of(devices)
  for resident in (False, True):
    feed = feeding.make_feed(arrays, mesh, state_lib.AXIS, resident=resident)
    fed = list(feed(orders))
    assert len(fed) == 2
    for (chunk, places), order in zip(fed, orders, strict=True):
      for device in range(devices):
        rows = np.asarray(places)[device]
        whole = chunk['inputs'] if resident else chunk['inputs'][device]
        np.testing.assert_array_equal(
          np.asarray(whole)[rows], arrays['inputs'][order[device]]
        )


def feed_images(images, orders, workers, devices=1):
  pytest.importorskip('grain')
  arrays = {'rows': np.arange(len(images)), 'images': images}
  feed = feeding.make_feed(
    arrays,
    mesh_of(devices),
    state_lib.AXIS,
    resident=False,
    image_workers=workers,
  )
  with contextlib.closing(feed(orders)) as fed:
    return [jax.tree.map(np.asarray, chunk) for chunk in fed]


@pytest.mark.parametrize('devices, seeds', [(1, ()), (2, ()), (2, (3,))])
def test_pictures_come_in_the_order_with_their_poses(tmp_path, devices, seeds):
  images = write_images(tmp_path)
  orders = orders_of(50, devices, seeds)
  fed = feed_images(images, orders, 0, devices)
  for (chunk, places), order in zip(fed, orders, strict=True):
    for index in np.ndindex(devices, *seeds):
      rows, pictures = (chunk[n][index] for n in ('rows', 'images'))
      np.testing.assert_array_equal(rows[places[index]], order[index])
      np.testing.assert_array_equal(pictures, images[rows])
      assert (abs(pictures[..., 2].mean((1, 2)) / 5 - rows) < 0.5).all()


def test_the_end_of_an_epoch_is_that_of_the_whole_one(tmp_path):
  images = write_images(tmp_path)
  orders = orders_of(50, 1)
  whole = feed_images(images, orders, 0)
  rest = feed_images(images, orders[1:], 0)
  jax.tree.map(np.testing.assert_array_equal, whole[1:], rest)


def test_processes_read_the_same_and_end(tmp_path):
  images = write_images(tmp_path, damaged=(7, 8))
  orders = [np.arange(100).reshape(1, 10, 10) % 50]
  (alone,), (together,) = (feed_images(images, orders, n) for n in (0, 2))
  jax.tree.map(np.testing.assert_array_equal, alone, together)
  assert not children(os.getpid())


def test_a_sound_picture_stands_for_a_damaged_one_with_its_pose(
  tmp_path, caplog
):
  pytest.importorskip('simplejpeg', reason='Pillow passes such damage over')
  images = write_images(tmp_path, damaged=(7, 8, 20))
  orders = [np.arange(50).reshape(1, 5, 10)] * 2
  for chunk, _ in feed_images(images, orders, 0):
    expected = np.arange(50)
    expected[[7, 8, 20]] = 9, 9, 21
    np.testing.assert_array_equal(chunk['rows'][0], expected)
    np.testing.assert_array_equal(chunk['images'][0], images[expected])
  # Each is named once, although each is met twice.
  named = [message.split(':')[0].split('/')[-1] for message in caplog.messages]
  assert sorted(named) == ['20.jpg', '7.jpg', '8.jpg']


def test_more_damage_is_counted(tmp_path, caplog):
  pytest.importorskip('simplejpeg', reason='Pillow passes such damage over')
  images = write_images(tmp_path, damaged=range(0, 50, 4))
  feed_images(images, [np.arange(50).reshape(1, 5, 10)] * 2, 0)
  assert len(caplog.messages) == 6
  assert caplog.messages[-1].startswith('13 images')


@pytest.mark.parametrize('workers', [0, 1])
def test_damage_without_end_is_an_error(tmp_path, workers):
  pytest.importorskip('simplejpeg', reason='Pillow passes such damage over')
  images = write_images(tmp_path, 3, damaged=range(3))
  with pytest.raises(UserError, match='nor could'):
    feed_images(images, [np.zeros((1, 1, 3), int)], workers)
  assert not children(os.getpid())


def test_says_what_to_install(tmp_path, monkeypatch):
  images = write_images(tmp_path, 3)
  monkeypatch.setitem(sys.modules, 'grain', None)
  arrays = {'images': images}
  feed = feeding.make_feed(arrays, mesh_of(1), state_lib.AXIS, resident=False)
  with pytest.raises(SettingError, match=r'pip install "semgcn-jax\[image\]"'):
    next(feed([np.zeros((1, 1, 3), int)]))


@pytest.mark.slow
def test_training_on_files_takes_the_steps_of_training_on_arrays(tmp_path):
  pytest.importorskip('grain')
  settings = TINY.replace(
    **{'dataset': 'rendered', 'backbone': 'tiny', 'device_data': 'streamed'},
    **{'batch_size': 8, 'chunk_steps': 2},  # Three equal chunks.
  )
  train = take(datasets.load(TINY.data, H36M).train, np.arange(50))
  arrays = make_task(TINY, H36M).arrays(train)
  images = write_images(tmp_path)

  def parameters(images, stops):
    """The parameters after an epoch, which stops and goes on so many times."""
    every = arrays | {'images': images}
    trainer = Trainer(settings, H36M, every, devices=jax.devices()[:1])
    quiet = ProgressBar(trainer.steps, 0, 8, shown=False)
    progress = Progress()
    for _ in range(stops):
      asked = types.SimpleNamespace(anywhere=lambda: True)
      progress = trainer.train_epoch(progress, quiet, asked)
    assert progress.chunks == stops
    trainer.train_epoch(progress, quiet, StopRequest())
    return jax.device_get(trainer.state.variables)

  expected = parameters(images[np.arange(50)], 0)
  for stops in (0, 2):
    found = parameters(images, stops)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def children(parent):
  """The running processes that a process has started to read pictures."""
  found = []
  for pid in filter(str.isdigit, os.listdir('/proc')):
    with contextlib.suppress(OSError):
      with open(f'/proc/{pid}/stat') as file:
        state, its_parent = file.read().rpartition(')')[2].split()[:2]
      with open(f'/proc/{pid}/cmdline') as file:
        reads = 'spawn_main' in file.read()
      if int(its_parent) == parent and state != 'Z' and reads:
        found.append(int(pid))
  return found


READER = """
import json, signal, sys
import numpy as np
from semgcn_jax.pictures.image_files import ImageFiles
from semgcn_jax.pictures.image_loading import read_ahead, split_rows

def main():
  asked = []
  signal.signal(signal.SIGTERM, lambda *_: asked.append('SIGTERM'))
  signal.signal(signal.SIGINT, lambda *_: asked.append('SIGINT'))
  paths = tuple(json.loads(sys.argv[1]))
  images = ImageFiles(paths, np.tile([0.0, 0, 48, 48], (len(paths), 1)), 32)
  blocks = split_rows(np.arange(10**6) % len(paths))
  ahead = read_ahead(images, blocks, 2)
  number = len(next(ahead)[1])
  print('reading', flush=True)
  while not asked:
    number += len(next(ahead)[1])
  for _ in range(20):  # They go on, to the end of the chunk.
    number += len(next(ahead)[1])
  ahead.close()
  print('ended', asked[0], flush=True)

if __name__ == '__main__':
  main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs /proc')
@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM', 'SIGKILL'])
def test_processes_end_with_their_parent_not_before(tmp_path, name):
  pytest.importorskip('grain')
  images = write_images(tmp_path, 5)
  script = tmp_path / 'reader.py'
  script.write_text(READER)
  process = subprocess.Popen(
    [sys.executable, str(script), json.dumps(images.paths)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  assert process.stdout is not None
  assert process.stdout.readline() == 'reading\n'
  workers = children(process.pid)
  assert len(workers) == 2
  if name == 'SIGKILL':
    process.kill()
    process.communicate()
  else:
    # As a terminal or a scheduler does, to all processes.
    os.killpg(process.pid, getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, f'ended {name}\n', '')
  deadline = time.monotonic() + 20
  while any(map(running, workers)) and time.monotonic() < deadline:
    time.sleep(0.1)
  assert not any(map(running, workers))


def running(pid):
  try:
    with open(f'/proc/{pid}/stat') as file:
      return file.read().rpartition(')')[2].split()[0] != 'Z'
  except OSError:
    return False
