"""Filming a test of lifters, and scoring on it."""

import dataclasses
import json

import numpy as np
import pytest
from command_line import fails, run
from filmed import standing

from semgcn_jax import Lifter
from semgcn_jax.detections.clips import Clip, Person, View
from semgcn_jax.evaluation.wild import read_wild, score_wild
from semgcn_jax.evaluation.world import score_world, summarize
from semgcn_jax.prepare import film as filming


@pytest.fixture(scope='module')
def poses(tmp_path_factory):
  """A data_3d_*.npz of the synthetic motion, z up."""
  from semgcn_jax.data.synthetic import generate

  clips = {
    subject: dict([*clips.items()][:2])
    for subject, clips in generate(0).items()
    if subject in ('S1', 'S5')
  }
  path = tmp_path_factory.mktemp('poses') / 'data_3d_mine.npz'
  np.savez(path, positions_3d=np.array(clips, object))
  return path


@pytest.fixture(scope='module')
def filmed(poses):
  path = poses.with_name('film.npz')
  code, out, err = run(
    'prepare_data', f'--film={poses}', f'--output={path}', '--subjects=S1'
  )
  assert (code, err) == (0, ''), err
  assert 'sequences' in out
  return path


def test_a_film_is_what_its_arrays_say(filmed):
  with np.load(filmed, allow_pickle=False) as file:
    film = dict(file)
  assert set(film['subject']) == {'S1'}
  np.testing.assert_allclose(film['targets'][:, 0], 0, atol=1e-6)
  # A wrist is where the camera sees it, but for its offset of 1 to 2.5 cm.
  places = film['targets'] + film['root'][:, None]
  pixels = places[..., :2] / places[..., 2:] * film['focal'][:, None, None]
  pixels = pixels + film['size'][:, None] / 2
  inside = film['clean'][:, 9, 2] > 0
  off = np.linalg.norm(film['clean'][:, 9, :2] - pixels[:, 12], axis=-1)
  metres = off * places[:, 12, 2] / film['focal']
  assert metres[inside].max() < 0.027
  # The noise is of 1.5% of the person's size along each axis.
  both = (film['clean'][..., 2] > 0) & (film['noisy'][..., 2] > 0)
  error = np.linalg.norm(
    film['noisy'][..., :2] - film['clean'][..., :2], axis=-1
  )
  size = (
    film['clean'][..., :2].max(axis=1) - film['clean'][..., :2].min(axis=1)
  ).max(axis=-1)
  share = np.median((error / size[:, None])[both])
  assert 0.012 < share < 0.022
  assert film['clean'][..., 2].mean() > 0.95


def test_a_film_depends_on_its_seed_alone(poses, tmp_path):
  for name, seed in (('a', 1), ('b', 1), ('c', 2)):
    filming.film(poses, tmp_path / f'{name}.npz', subjects=['S5'], seed=seed)
  a, b, c = (np.load(tmp_path / f'{n}.npz')['noisy'] for n in 'abc')
  np.testing.assert_array_equal(a, b)
  assert np.abs(a[: len(c)] - c[: len(a)]).max() > 1


def test_scores_by_independent_arithmetic(filmed):
  lifter, arrays = Lifter.load('cmu'), read_wild(filmed)
  arrays['noisy'][3, 3:] = 0
  result = score_wild(lifter, arrays)
  kept = (arrays['noisy'][..., 2] > 0).sum(axis=1) >= 4
  assert result['noisy']['left_out'] == (~kept).sum() > 0
  poses = lifter(arrays['noisy'][kept], arrays['size'][kept], check=False)
  errors = [
    sum(np.linalg.norm(p - t) for p, t in zip(pose, target, strict=True)) / 16
    for pose, target in zip(poses, arrays['targets'][kept], strict=True)
  ]
  assert result['noisy']['mpjpe'] == pytest.approx(
    1000 * np.mean(errors), rel=1e-4
  )
  for groups in result['parts'].values():
    assert sum(g['num_poses'] for g in groups.values()) == kept.sum()
  assert result['upper_hidden'] > 0


def test_by_command(filmed, tmp_path):
  output = tmp_path / 'scores.json'
  code, out, err = run(
    'evaluate', '--checkpoint=cmu', f'--wild={filmed}', f'--output={output}',
    '--use_focal', '--compilation_cache=',
  )  # fmt: skip
  assert (code, err) == (0, ''), err
  assert 'noisy: keypoints not found' in out
  result = json.loads(output.read_text())
  assert f'{result["clean"]["mpjpe"]:.1f}' in out
  # People of another kind, but no more wrong than those of the test.
  assert result['clean']['mpjpe'] < 120


def test_an_export_calibrates_the_expected_errors(filmed, tmp_path):
  output, arrays = tmp_path / 'calibrated', read_wild(filmed)
  code, out, err = run(
    'export', '--checkpoint=cmu', f'--output={output}', f'--calibrate={filmed}'
  )
  assert (code, err) == (0, ''), err
  scale = json.loads((output / 'config.json').read_text())['error_scale']
  assert f'multiplied by {scale:.3f}' in out and scale != 1
  before, after = Lifter.load('cmu'), Lifter.load(output)
  frame = arrays['noisy'][:1], arrays['size'][:1], 'coco'
  np.testing.assert_allclose(
    after.lift(*frame).errors, scale * before.lift(*frame).errors, rtol=1e-5
  )
  np.testing.assert_array_equal(
    after.lift(*frame).poses, before.lift(*frame).poses
  )
  scores = score_wild(after, arrays)
  missed = sum(
    scores[kind]['expected'] - scores[kind]['mpjpe']
    for kind in ('clean', 'noisy')
  )
  assert abs(missed) < 0.1
  # The output is looked at first.
  fails(
    *('export', '--checkpoint=cmu', f'--output={output}'),
    f'--calibrate={tmp_path}/no.npz',
    status=2,
    message='exists; name a new folder',
  )
  folder = f'--output={tmp_path}/new'
  fails(
    *('export', '--checkpoint=cmu', f'{folder}.onnx', f'--calibrate={filmed}'),
    status=2,
    message='--calibrate: is for a folder',
  )
  fails(
    *('export', '--checkpoint=cmu', folder, f'--calibrate={tmp_path}/no.npz'),
    status=1,
    message='no.npz: No such file',
  )


def test_refusals(filmed, poses, tmp_path):
  def wild(path, message, *flags, status=1):
    fails(
      'evaluate', '--checkpoint=cmu', f'--wild={path}', *flags,
      status=status, message=message,
    )  # fmt: skip

  wild(tmp_path / 'no.npz', 'No such file')
  (tmp_path / 'bad.npz').write_bytes(b'no')
  wild(tmp_path / 'bad.npz', 'does not hold keypoints')
  np.savez(tmp_path / 'other.npz', clean=np.zeros((3, 17, 3)))
  wild(tmp_path / 'other.npz', 'does not hold keypoints')
  wild(filmed, '--flip_test: has no meaning', '--flip_test', status=2)
  for flags, message in (
    ((f'--output={filmed}',), 'exists; give --overwrite'),
    ((), '--output: name the npz to write'),
    ((f'--output={tmp_path / "a.npz"}', '--subjects=X'), '--subjects: no X'),
  ):
    fails('prepare_data', f'--film={poses}', *flags, status=2, message=message)
  assert len(standing(5)) == 5


def test_solved_sequences_are_scored(filmed, tmp_path):
  """A clip that is as it truly is has no errors."""
  film = read_wild(filmed)
  rows = np.flatnonzero(film['sequence'] == film['sequence'][0])
  poses, roots, ups = (
    film[name][rows].astype(float) for name in ('targets', 'root', 'up')
  )
  up = ups[0]
  feet = (poses + roots[:, None])[:, [3, 6]]
  heights = feet @ up
  ground = np.percentile(heights.min(axis=1), 5) - 0.08
  speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * 10
  rests = np.zeros(heights.shape, bool)
  for t in range(len(poses)):
    for foot in range(2):
      near = [speed[k, foot] for k in (t - 1, t) if 0 <= k < len(speed)]
      low = heights[t, foot] - ground < 0.18
      rests[t, foot] = min(near) < 0.25 and low
  pitch = np.rad2deg(np.arcsin(-up[2]))
  roll = np.rad2deg(np.arctan2(up[0], -up[1]))
  person = Person(
    '1', np.arange(len(rows)), poses=poses, places=roots, contacts=rests
  )
  view = View(1.0, (0.0, 0.0), pitch, roll, -ground)
  clip = Clip('a', (person,), 10.0, (640, 480), view=view)
  scores = score_world(clip, poses, roots, up)
  for name in ('pitch', 'roll', 'height', 'path'):
    assert scores[name] == pytest.approx(0, abs=1e-3), name
  assert scores['hits'] == scores['found'] == scores['resting'] == rests.sum()
  assert summarize([scores])['f1'] == (1 if rests.any() else 0)
  off = dataclasses.replace(view, pitch=pitch + 4, roll=roll - 3)
  scores = score_world(dataclasses.replace(clip, view=off), poses, roots, up)
  assert scores['pitch'] == pytest.approx(4, abs=1e-3)
  assert scores['roll'] == pytest.approx(3, abs=1e-3)


def test_single_frames_are_not_solved(filmed):
  fails(
    'evaluate', '--checkpoint=cmu', f'--wild={filmed}', '--solve',
    status=2, message='is for networks that see time',
  )  # fmt: skip
