"""predict.py and view.py, to the files that they write."""

import json

import numpy as np
import pytest
from command_line import fails, run
from PIL import Image
from scenes import clip, person
from tiny import TINY_FLAGS

from semgcn_jax.formats.pose_files import write_poses


@pytest.fixture(scope='module')
def poses(tmp_path_factory):
  """A file of poses, of two people."""
  path = tmp_path_factory.mktemp('poses') / 'walk.json'
  people = person(), person(name='2')
  path.write_bytes(write_poses([clip(*people)], path, {}))
  return path


def view(poses, output, *flags):
  return run('view', f'--poses={poses}', f'--output={output}', *flags)


@pytest.mark.slow
def test_every_ending_is_written(poses, tmp_path):
  for ending in ('html', 'png', 'gif', 'glb'):
    output = tmp_path / f'walk.{ending}'
    code, out, err = view(poses, output)
    assert (code, err) == (0, ''), err
    assert 'as estimated from the people' in out and output.stat().st_size
  assert (tmp_path / 'walk.glb').read_bytes()[:4] == b'glTF'
  assert Image.open(tmp_path / 'walk.gif').n_frames == 20
  code, out, err = view(
    poses, tmp_path / 'walk.bvh', '--person=2', '--joint_names=mixamo',
    '--pitch=3',
  )  # fmt: skip
  assert (code, err) == (0, ''), err
  assert 'looks down by 3°, as given' in out and 'mm off the joints' in out
  text = (tmp_path / 'walk.bvh').read_text()
  assert 'ROOT mixamorig:Hips' in text and 'Frame Time: 0.04' in text


@pytest.mark.parametrize(
  'flags, message',
  [
    (('--output=x.txt',), 'must end with .html, .png, .gif, .mp4, .bvh, .glb'),
    (('--output=x.bvh',), 'holds one person; choose one with --person: 1, 2'),
    (('--person=3',), '--person=3: choose from 1, 2'),
    (('--clip=run',), '--clip=run: choose from walk'),
    (('--pitch=100',), '--pitch=100.0: must be from -89 to 89'),
    (('--pitch=nan',), '--pitch=nan: must be from -89 to 89'),
    (('--fps=0',), '--fps=0.0: must be from 0.1 to 10,000'),
    (
      ('--joint_names=unity', '--output=x.html'),
      '--joint_names: has no meaning without .bvh or .glb in the output',
    ),
    (
      ('--bvh_unit=m', '--output=x.glb'),
      '--bvh_unit: has no meaning without .bvh in the output',
    ),
    (('--joint_names=maya',), '--joint_names=maya: choose from h36m'),
    (('--checkpoint=cmu',), 'give either --poses or --checkpoint'),
    (('--poses=none.json',), 'none.json: no such file'),
    (('--data_dir=data',), '--data_dir: has no meaning with --poses'),
    (('--pictures=none.png',), 'none.png: No such file'),
  ],
)
def test_bad_flags(poses, tmp_path, monkeypatch, flags, message):
  monkeypatch.chdir(tmp_path)
  code, _, err = view(poses, 'x.html', *flags)
  assert code in (1, 2) and message in err and err.count('\n') == 1, err
  assert not list(tmp_path.iterdir())


def test_several_files_in_one_page(poses, tmp_path):
  other = tmp_path / 'run.json'
  other.write_bytes(poses.read_bytes())
  output = tmp_path / 'both.npz'
  page = tmp_path / 'both.html'
  code, out, err = view(f'{poses},{other}', page)
  assert (code, err) == (0, ''), err
  text = page.read_text()
  assert 'walk.json, run.json' in text
  # Both clips are called walk; the second gets a number.
  assert '"walk"' in text and '"walk-2"' in text
  code, _, err = view(f'{poses},none.json', tmp_path / 'x.html')
  assert code == 1 and 'none.json: no such file' in err
  assert not output.exists()
  other.rename(tmp_path / 'run.csv')
  code, _, err = view(tmp_path / 'run.csv', tmp_path / 'x.html')
  assert code == 1 and 'poses are read from .json, .npz' in err


def test_the_rate_of_a_clip_is_no_setting(poses, tmp_path):
  # The setting of the data has the same name.
  output = tmp_path / 'walk.gif'
  code, _, err = view(poses, output, '--person=1', '--fps=50')
  assert (code, err) == (0, ''), err
  with Image.open(output) as image:
    assert image.info['duration'] == 20
  code, out, _ = run('view', '--help')
  assert code == 0 and '--fps=' in out.partition('This command:')[2]
  fails(
    'view', f'--poses={poses}', f'--output={tmp_path / "x.png"}',
    '--data_fps=50', status=2, message='data_fps',
  )  # fmt: skip
  _, _, err = view(poses, tmp_path / 'x.png', '--data_fps=50')
  assert 'is now called' not in err


def test_whoever_was_never_found_is_left_out(tmp_path):
  nobody = person(3, name='ghost', poses=np.full((3, 16, 3), np.nan))
  path = tmp_path / 'walk.npz'
  path.write_bytes(write_poses([clip(person(), nobody)], path, {}))
  code, out, err = view(path, tmp_path / 'walk.glb')
  assert (code, err) == (0, ''), err
  assert 'person ghost: left out' in out
  code, _, err = view(path, tmp_path / 'ghost.glb', '--person=ghost')
  assert code == 1 and 'nobody has a whole pose' in err


def test_odd_names(tmp_path):
  path = tmp_path / 'walk.json'
  odd = clip(person(name='<b>'), name='a$_$b<i>')
  path.write_bytes(write_poses([odd], path, {}))
  for ending in ('png', 'html'):
    code, _, err = view(path, tmp_path / f'a.{ending}')
    assert code == 0, err


def test_nothing_is_overwritten(poses, tmp_path):
  output = tmp_path / 'walk.html'
  output.write_text('mine')
  fails(
    'view', f'--poses={poses}', f'--output={output}',
    status=2, message='exists; give --overwrite',
  )  # fmt: skip
  assert output.read_text() == 'mine'
  assert view(poses, output, '--overwrite')[0] == 0
  assert len(output.read_text()) > 100_000


def test_pictures_lie_behind(poses, tmp_path):
  picture = tmp_path / 'street.png'
  Image.fromarray(np.full((720, 1280, 3), 90, np.uint8)).save(picture)
  code, _, err = view(poses, tmp_path / 'walk.html', f'--pictures={picture}')
  assert code == 0, err
  text = (tmp_path / 'walk.html').read_text()
  assert text.count('data:image/jpeg;base64,') == 1
  keypoints = tmp_path / 'walk.json'
  results = [{'image_id': 0, 'keypoints': np.full((17, 3), 400.5).tolist()}]
  for result in results:
    result['keypoints'] = [
      [float(300 + 9 * n), float(200 + 17 * n), 1.0] for n in range(17)
    ]
    result['keypoints'] = sum(result['keypoints'], [])
  keypoints.write_text(json.dumps(results))
  code, out, err = run(
    'predict', f'--detections={keypoints}', f'--image={picture}',
    f'--output={tmp_path / "one.html"}', '--compilation_cache=',
  )  # fmt: skip
  assert code == 0, err
  assert 'data:image/jpeg;base64,' in (tmp_path / 'one.html').read_text()


@pytest.mark.slow
def test_a_run_is_shown_beside_its_truth(tmp_path):
  workdir = tmp_path / 'run'
  code, _, err = run('train', *TINY_FLAGS, f'--workdir={workdir}')
  assert code == 0, err
  for ending in ('html', 'png'):
    code, out, err = run(
      'view', f'--checkpoint={workdir}', f'--output={tmp_path / "run"}.{ending}'
    )
    assert code == 0, err
    assert 'as it was calibrated' in out
  page = (tmp_path / 'run.html').read_text()
  assert '"truth": {' in page and 'Walking 1' in page
