"""predict.py solves clips, and says so."""

import json

import numpy as np
import pytest
from command_line import fails, run
from filmed import keypoints_of


def predict(path, output, *flags):
  return run(
    'predict', f'--detections={path}', '--image_size=1280x720', '--fps=25',
    f'--output={output}', '--compilation_cache=', *flags,
  )  # fmt: skip


@pytest.fixture
def walk(tmp_path):
  path = tmp_path / 'walk.npy'
  np.save(path, keypoints_of(24))
  return path


def test_clips_are_solved(walk, tmp_path):
  code, out, err = predict(walk, tmp_path / 'a.json', '--focal_length=1100')
  assert (code, err) == (0, '')
  assert 'walk: the camera looks down by' in out and '(given)' in out
  content = json.loads((tmp_path / 'a.json').read_text())
  [person] = content['people']
  poses = np.array(person['poses'])
  thighs = np.linalg.norm(poses[:, [2, 5]] - poses[:, [1, 4]], axis=-1)
  assert np.ptp(thighs) < 1e-5
  assert np.array(person['contacts']).shape == (24, 2)
  assert person['view']['focal_length'] == pytest.approx(1100)
  assert content['solve'] is True and 'feet' not in person


def test_solving_can_be_switched_off(walk, tmp_path):
  code, out, err = predict(walk, tmp_path / 'a.json', '--solve=false')
  assert (code, err) == (0, '')
  assert 'above the ground' not in out
  [person] = json.loads((tmp_path / 'a.json').read_text())['people']
  assert 'view' not in person and 'contacts' not in person


def test_single_frames_are_not_solved(tmp_path):
  np.save(tmp_path / 'one.npy', keypoints_of(1))
  code, out, err = predict(tmp_path / 'one.npy', tmp_path / 'a.json')
  assert (code, err) == (0, '')
  assert 'above the ground' not in out


def test_terms_that_do_not_exist(walk, tmp_path):
  fails(
    'predict', f'--detections={walk}', '--image_size=1280x720',
    f'--output={tmp_path / "a.json"}', '--solve_without=rest,gravity',
    status=2, message='--solve_without=gravity',
  )  # fmt: skip
  fails(
    'predict', f'--detections={walk}', '--image_size=1280x720',
    f'--output={tmp_path / "a.json"}', '--solve=false', '--solve_without=rest',
    status=2, message='has no meaning without',
  )  # fmt: skip
