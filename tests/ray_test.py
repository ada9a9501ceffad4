"""examples/lift_with_ray.py, on a cluster of two workers."""

import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from filmed import film_level, moving

from semgcn_jax import Lifter

pytestmark = pytest.mark.slow
SIZE = 1280, 720
PATH = ROOT / 'examples' / 'lift_with_ray.py'


@pytest.fixture(scope='module')
def clips():
  """Keypoints of five clips, `[T, 17, 3]`."""
  pixels = film_level(moving(40), SIZE).keypoints('coco')
  clip = np.insert(pixels, 2, 0.9, axis=-1)
  return {f'clip{n}': clip[: 10 + n] for n in range(5)}


def start(folder, *flags):
  pytest.importorskip('ray', reason='needs the extra ray')
  command = [sys.executable, PATH, f'--input={folder}/in']
  command += [f'--output={folder}/out', '--image_size=1280x720', '--workers=2']
  return subprocess.Popen(
    [*command, *flags],
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )


def finish(process):
  out, err = process.communicate(timeout=300)
  return process.returncode, out, err


def children(of):
  """The processes below a process, {number: command line}."""
  parents, names = {}, {}
  for path in pathlib.Path('/proc').glob('[0-9]*'):
    try:
      fields = (path / 'stat').read_text().rpartition(')')[2].split()
      names[int(path.name)] = (path / 'cmdline').read_text()
      parents[int(path.name)] = int(fields[1])
    except OSError:  # It has ended.
      continue

  def is_below(number):
    while number in parents:
      number = parents[number]
      if number == of:
        return True
    return False

  return {number: names[number] for number in parents if is_below(number)}


def test_files_are_lifted_and_what_is_there_is_skipped(tmp_path, clips):
  pytest.importorskip('ray', reason='needs the extra ray')
  import pyarrow as pa
  import pyarrow.parquet as pq

  source, out = tmp_path / 'in', tmp_path / 'out'
  source.mkdir()
  for name, keypoints in clips.items():
    np.savez(source / f'{name}.npz', keypoints=keypoints)
  rows = [{'clip': n, 'keypoints': k.tolist()} for n, k in clips.items()]
  pq.write_table(pa.Table.from_pylist(rows), source / 'table.parquet')
  whole = {
    kind: next(source.glob(f'*.{kind}')).read_bytes()
    for kind in ('npz', 'parquet')
  }
  broken = [
    *((f'empty.{kind}', b'') for kind in whole),
    *((f'text.{kind}', b'no') for kind in whole),
    *((f'cut.{kind}', content[:-90]) for kind, content in whole.items()),
  ]
  for name, content in broken:
    (source / name).write_bytes(content)
  np.savez(source / 'two.npz', keypoints=np.stack([clips['clip0']] * 2, axis=1))
  np.savez(source / 'other.npz', points=clips['clip0'])
  code, printed, err = finish(start(tmp_path, '--fps=25'))
  assert code == 1, err
  for name in (*dict(broken), 'two.npz', 'other.npz'):
    assert f'\n{name}: ' in f'\n{err}', name
  assert (
    'two.npz: ValueError: the keypoints have the shape (10, 2, 17, 3)' in err
  )
  assert 'other.npz: ValueError: has no array keypoints' in err
  assert 'Traceback' not in err
  assert '14 files, 120 frames' in printed
  lifter = Lifter.load('cmu-video')
  (table,) = [pq.read_table(out / 'table.parquet').to_pylist()]
  for (name, keypoints), row in zip(clips.items(), table, strict=True):
    wanted = lifter.lift(keypoints, SIZE, 'coco', fps=25)
    lifted = np.load(out / f'{name}.npz')
    for field in ('poses', 'errors'):
      value = getattr(wanted, field)
      np.testing.assert_allclose(lifted[field], value, atol=1e-5)
      np.testing.assert_allclose(np.array(row[field]), value, atol=1e-5)
    assert row['clip'] == name
  for name in (*dict(broken), 'two.npz', 'other.npz'):
    (source / name).unlink()
  assert out.joinpath('clip0.npz').stat().st_mode & 0o444 == 0o444
  (out / 'clip3.npz').unlink()
  code, printed, err = finish(start(tmp_path))
  assert code == 0, err
  assert '5 files are there already; skipped' in printed
  assert 'clip3.npz: 13 frames' in printed
  code, printed, _ = finish(start(tmp_path))
  assert code == 0 and printed.endswith('nothing to lift\n')
  assert {path.suffix for path in out.iterdir()} == {'.npz', '.parquet'}


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_a_worker_that_dies_is_replaced(tmp_path, clips):
  (tmp_path / 'in').mkdir()
  clip = np.concatenate([clips['clip4']] * 50)
  for number in range(40):
    np.savez(tmp_path / 'in' / f'{number}.npz', keypoints=clip)
  process = start(tmp_path)
  for line in process.stdout:
    if line.startswith('3/40'):
      break
  worker = min(
    number
    for number, name in children(process.pid).items()
    if name.startswith('ray::MapWorker')
  )
  os.kill(worker, signal.SIGKILL)
  began = time.monotonic()
  code, printed, err = finish(process)
  assert code == 0, err
  assert f'40 files, {40 * len(clip)} frames' in printed
  assert time.monotonic() - began < 300
  assert len([*(tmp_path / 'out').glob('*.npz')]) == 40


def test_wrong_flags(tmp_path, capsys):
  pytest.importorskip('ray', reason='needs the extra ray')
  spec = importlib.util.spec_from_file_location('lift_with_ray', PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'a.npz').touch()
  given = [f'--input={tmp_path}', f'--output={tmp_path}/out']
  assert module.parse([*given, '--image_size=640x480']).image_size == (640, 480)
  for flags in (
    [*given, '--image_size=640'],
    [f'--input={tmp_path}/no', given[1], '--image_size=640x480'],
    [given[0], f'--output={tmp_path}', '--image_size=640x480'],
    [*given, '--image_size=640x480', '--workers=0'],
    [f'--input={tmp_path}/empty', given[1], '--image_size=640x480'],
  ):
    with pytest.raises(SystemExit) as ended:
      module.parse(flags)
    assert ended.value.code == 2
  for flag, told in (
    ('checkpoint=cmuu', 'cmuu: is neither'),
    ('joints=a', '--joints=a: choose'),
  ):
    assert module.main([*given, '--image_size=640x480', f'--{flag}']) == 2
    assert told in capsys.readouterr().err
