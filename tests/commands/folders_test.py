"""Several outputs of predict.py, and folders of sources."""

import json
import signal
import time

import numpy as np
import pytest
from command_line import fails, run, start
from filmed import keypoints_of
from PIL import Image

from semgcn_jax.commands.flags.outputs import is_folder
from semgcn_jax.commands.folders import find_sources, run_each
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.files import split_paths
from semgcn_jax.formats.pose_files import read_poses

SIZE = '--image_size=1280x720'


def write_clips(folder, count):
  folder.mkdir()
  for number in range(count):
    np.savez(folder / f'clip{number}.npz', keypoints=keypoints_of(4 + number))
  return f'--detections={folder}'


@pytest.mark.parametrize(
  ('text', 'paths'),
  [
    ('a.html', ['a.html']),
    ('a.html,b.json', ['a.html', 'b.json']),
    ('a,b.html,c/d,e.json', ['a,b.html', 'c/d,e.json']),
    ('a.html, b.json', ['a.html', 'b.json']),
    ('a.txt,b.html', ['a.txt,b.html']),
  ],
)
def test_commas_divide_paths_after_an_ending(text, paths):
  found = split_paths(text, ('.html', '.json'), 'output')
  assert [str(path) for path in found] == paths


def test_a_comma_with_nothing_after_it_is_refused():
  with pytest.raises(SettingError, match='`output=a.html,`: has an empty name'):
    split_paths('a.html,', ('.html',), 'output')


def test_one_detection_many_outputs(tmp_path):
  np.savez(tmp_path / 'walk.npz', keypoints=keypoints_of(9))
  files = [tmp_path / f'walk.{e}' for e in ('html', 'glb', 'bvh', 'json')]
  given = f'--detections={tmp_path / "walk.npz"}', SIZE
  output = ','.join(map(str, files))
  code, out, err = run('predict', *given, f'--output={output}')
  assert (code, err) == (0, '')
  # What is said of the camera and the bones is said once.
  assert out.count('The camera') == 1 and out.count('bones of constant') == 1
  assert all(file.stat().st_size > 1000 for file in files)
  ((clip,), _) = read_poses(files[-1])
  assert len(clip.people[0].frames) == 9
  before = files[0].read_bytes()
  fails(*('predict', *given, f'--output={output}'), status=2, message='exists')
  new = tmp_path / 'new.html'
  fails(
    *('predict', *given, f'--output={new},{new}'), status=2, message='twice'
  )
  fails(
    *('predict', *given, f'--output={new},{tmp_path}/no/such.json'),
    status=2,
    message='existing folder',
  )
  assert files[0].read_bytes() == before and not new.exists()


def test_a_folder_of_clips(tmp_path):
  given = write_clips(tmp_path / 'in', 3)
  (tmp_path / 'in' / 'bad.npz').write_bytes(b'PK')
  flags = given, SIZE, f'--output={tmp_path}/out/', '--formats=html,json'
  flags += ('--solve=false',)
  code, out, err = run('predict', *flags)
  assert code == 1 and err.count('\n') == 1
  assert '1 of 4 sources not done: bad (' in err and 'bad.npz' in err
  made = sorted(p.name for p in (tmp_path / 'out').iterdir())
  assert made == sorted(
    f'clip{n}.{e}' for n in range(3) for e in ('html', 'json')
  )
  for number in range(3):
    ((clip,), _) = read_poses(tmp_path / 'out' / f'clip{number}.json')
    assert clip.name == f'clip{number}'
    assert len(clip.people[0].frames) == 4 + number
  # Only what is missing is made.
  lost = tmp_path / 'out' / 'clip1.json'
  kept = tmp_path / 'out' / 'clip1.html'
  lost.unlink()
  written = kept.stat().st_mtime_ns
  code, out, err = run('predict', *flags)
  assert code == 1 and '2 sources in' in out and 'skipped' in out
  assert lost.exists() and kept.stat().st_mtime_ns == written
  (tmp_path / 'in' / 'bad.npz').unlink()
  assert run('predict', *flags)[0] == 0
  assert run('predict', *flags, '--overwrite')[0] == 0
  assert kept.stat().st_mtime_ns > written


def test_a_file_into_a_folder(tmp_path):
  np.savez(tmp_path / 'walk.npz', keypoints=keypoints_of(3))
  given = f'--detections={tmp_path / "walk.npz"}', SIZE
  code, _, err = run('predict', *given, f'--output={tmp_path}/new/out/')
  assert (code, err) == (0, '')
  assert (tmp_path / 'new' / 'out' / 'walk.html').exists()


def test_a_photograph_tells_its_lens(tmp_path):
  exif = Image.Exif()
  exif.get_ifd(0x8769)[0xA405] = 18  # Of 36 mm film, which makes 90 degrees.
  Image.new('RGB', (1200, 800)).save(tmp_path / 'a.jpg', exif=exif)
  np.savez(tmp_path / 'walk.npz', keypoints=keypoints_of(1))
  given = (
    *('predict', f'--detections={tmp_path}/walk.npz', '--image_size=1200x800'),
    f'--image={tmp_path}/a.jpg',
  )
  for name, flags, angle in (
    ('exif', (), 90),
    ('own', ('--field_of_view=60',), 60),
    ('focal', ('--focal_length=900',), None),
  ):
    code, out, err = run(*given, f'--output={tmp_path}/{name}.json', *flags)
    assert (code, err) == (0, ''), err
    written = json.loads((tmp_path / f'{name}.json').read_text())
    assert written['field_of_view'] == angle
    assert ('a.jpg: sees 90° along' in out) == (name == 'exif')


def test_wrong_folders(tmp_path):
  given = write_clips(tmp_path / 'in', 1), SIZE
  for flags, told in (
    ((f'--output={tmp_path}/in',), 'holds what is read'),
    (
      (f'--output={tmp_path}/out/', '--formats=doc'),
      'formats=doc: choose from',
    ),
    ((f'--output={tmp_path}/in/clip0.npz/',), 'clip0.npz'),
    ((f'--output={tmp_path}/out/', f'--image={tmp_path}/a.png'), 'is a folder'),
  ):
    fails('predict', *given, *flags, status=2, message=told)
  camera = '--camera=0', f'--output={tmp_path}/out/'
  fails('predict', *camera, status=2, message='is a folder, which takes')
  assert not (tmp_path / 'out').exists()


def test_sources_of_images_and_videos(tmp_path):
  for name in ('b.png', 'a.JPG', 'c.mp4', '._a.jpg', 'notes.txt', 'd.webm'):
    (tmp_path / name).touch()
  images = find_sources('image', tmp_path)
  assert [*images] == ['a', 'b'] and images['a'] == [tmp_path / 'a.JPG']
  assert [*find_sources('video', tmp_path)] == ['c', 'd']
  assert find_sources('video', tmp_path / 'x.mp4') == {
    'x': [tmp_path / 'x.mp4']
  }
  (tmp_path / 'a.png').touch()
  with pytest.raises(UserError, match='the same output; rename'):
    find_sources('image', tmp_path)
  (tmp_path / 'no').mkdir()
  with pytest.raises(UserError, match='holds no videos'):
    find_sources('video', tmp_path / 'no')


def test_broken_sources_do_not_stop_the_others(tmp_path):
  (tmp_path / 'in').mkdir()
  sources = {f's{n}': [tmp_path / 'in' / f's{n}'] for n in range(20)}

  def work(name, files, paths):
    assert files == [tmp_path / 'in' / name]
    if int(name[1:]) % 3 == 0:
      raise UserError(f'{name}: is broken')
    for path in paths:
      Image.new('RGB', (2, 2)).save(path)

  with pytest.raises(UserError) as error:
    run_each(sources, tmp_path / 'out', ['.png', '.gif'], work)
  assert str(error.value).startswith('7 of 20 sources not done: s0 (')
  assert str(error.value).endswith('; and 2 more')
  assert len([*(tmp_path / 'out').iterdir()]) == 2 * 13
  assert is_folder('out/') and is_folder(str(tmp_path))
  assert not is_folder(str(tmp_path / 'a.html'))
  (tmp_path / 'file').touch()
  with pytest.raises(SettingError, match='output='):
    run_each(sources, tmp_path / 'file', ['.png'], work)


def test_what_is_read_is_never_replaced(tmp_path):
  (tmp_path / 'n').mkdir()
  given = write_clips(tmp_path / 'n' / 'a', 2)
  before = {p: p.read_bytes() for p in (tmp_path / 'n' / 'a').iterdir()}
  nested = f'--detections={tmp_path}/n', SIZE, '--formats=npz,html'
  for flags in (
    (*nested, f'--output={tmp_path}/n/', '--overwrite'),
    (*nested, f'--output={tmp_path}/n/out/'),
    (given, SIZE, f'--output={tmp_path}/n/a/'),
  ):
    fails('predict', *flags, status=2, message='name another')
  assert before == {p: p.read_bytes() for p in (tmp_path / 'n' / 'a').iterdir()}
  assert run('predict', *nested, f'--output={tmp_path}/out/')[0] == 0
  made = sorted(p.name for p in (tmp_path / 'out' / 'a').iterdir())
  assert made == ['clip0.html', 'clip0.npz', 'clip1.html', 'clip1.npz']


def test_wrong_flags_end_it(tmp_path):
  given = write_clips(tmp_path / 'in', 3), SIZE, f'--output={tmp_path}/out/'
  fails(*('predict', *given, '--clip=nobody'), status=2, message='clip=nobody')
  fails('predict', *given, '--formats=', status=2, message='formats')
  code, _, err = run('predict', *given, '--formats=html,.html')
  assert (code, err) == (0, '')
  fails(
    *(
      'predict',
      given[0],
      SIZE,
      f'--output={tmp_path}/a.html',
      '--formats=npz',
    ),
    status=2,
    message='is for a folder',
  )


@pytest.mark.slow
def test_a_killed_command_goes_on(tmp_path):
  flags = write_clips(tmp_path / 'in', 30), SIZE, f'--output={tmp_path}/out/'
  out = tmp_path / 'out'
  process = start('predict', *flags)
  while process.poll() is None and (
    not out.exists() or len([*out.glob('*.html')]) < 3
  ):
    time.sleep(0.01)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  done = {p.name: p.stat().st_mtime_ns for p in out.glob('*.html')}
  assert 3 <= len(done) < 30
  code, text, err = run('predict', *flags)
  assert (code, err) == (0, '')
  assert f'{len(done)} sources in' in text
  assert len([*out.glob('*.html')]) == 30
  for name, written in done.items():
    assert (out / name).stat().st_mtime_ns == written
