"""Runs the commands on networks that see time, as users call them."""

import json

import numpy as np
import pytest
from command_line import fails, run
from filmed import film_level, moving

from semgcn_jax import Lifter
from semgcn_jax.prepare import film as filming

TINY = (
  *('--preset=synthetic', '--model=semgcn_temporal', '--recipe=wild'),
  *('--hid_dim=8', '--num_layers=1', '--receptive_field=9', '--window=8'),
  *('--batch_size=160', '--norm_poses=0', '--epochs=2', '--chunk_steps=5'),
  *('--downsample=2', '--test_downsample=1', '--train_subjects=S1'),
  # The rate of an epoch must not depend on how many there will be.
  *('--lr_schedule=staircase', '--warmup_epochs=0'),
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  """The folder of a tiny run that looks back alone."""
  path = tmp_path_factory.mktemp('runs') / 'clips'
  status, out, err = run('train', *TINY, '--causal', f'--workdir={path}')
  assert status == 0, err
  assert 'acceleration error' in out
  return path


def test_training_resumes_with_the_same_bits(workdir, tmp_path):
  again = f'--workdir={tmp_path / "run"}'
  for flags in (['--epochs=1'], ['--resume']):
    status, _, err = run('train', *TINY, '--causal', again, *flags)
    assert status == 0, err
  logs = [
    [json.loads(line) for line in log.read_text().splitlines()]
    for log in (workdir / 'metrics.jsonl', tmp_path / 'run' / 'metrics.jsonl')
  ]
  for first, second in zip(*logs, strict=True):
    for name in ('train_loss', 'mpjpe', 'mpjve'):
      assert first[name] == second[name]


def test_evaluate_scores_motion_too(workdir, tmp_path):
  output = tmp_path / 'scores.json'
  status, out, err = run(
    *('evaluate', f'--checkpoint={workdir}', f'--output={output}'),
    f'--figure={tmp_path / "poses.png"}',
  )
  assert status == 0, err
  assert 'MPJVE' in out and (tmp_path / 'poses.png').stat().st_size > 10_000
  scores = json.loads(output.read_text())
  last = json.loads((workdir / 'metrics.jsonl').read_text().splitlines()[-1])
  for name in ('mpjpe', 'mpjve', 'acceleration_error', 'jitter'):
    assert scores[name] == pytest.approx(last[name], rel=1e-4)


def test_unknown_cameras_are_scored_by_sequences(workdir, tmp_path):
  from semgcn_jax.data.synthetic import generate

  clips = {'S1': dict([*generate(0)['S1'].items()][:4])}
  poses = tmp_path / 'data_3d_mine.npz'
  np.savez(poses, positions_3d=np.array(clips, object))
  filming.film(poses, tmp_path / 'film.npz')
  output = tmp_path / 'scores.json'
  status, out, err = run(
    *('evaluate', f'--checkpoint={workdir}', f'--output={output}'),
    f'--wild={tmp_path / "film.npz"}',
  )
  assert status == 0, err
  assert 'frozen' in out
  scores = json.loads(output.read_text())
  with np.load(tmp_path / 'film.npz') as file:
    arrays = dict(file)
  # By hand: each sequence by itself, and the second difference of its error.
  lifter = Lifter.load(workdir)
  errors, changes = [], []
  for number in np.unique(arrays['sequence']):
    rows = arrays['sequence'] == number
    poses = lifter(arrays['clean'][rows], arrays['size'][rows], fps=10)
    off = poses - arrays['targets'][rows]
    errors += [np.linalg.norm(off, axis=-1).mean(axis=-1)]
    second = off[2:] - 2 * off[1:-1] + off[:-2]
    changes += [np.linalg.norm(second, axis=-1).mean(axis=-1)]
  clean = scores['clean']
  wanted = 1000 * np.concatenate(errors).mean()
  assert clean['mpjpe'] == pytest.approx(wanted, rel=1e-4)
  wanted = 1000 * np.concatenate(changes).mean()
  assert clean['acceleration_error'] == pytest.approx(wanted, rel=1e-4)


def test_keypoints_of_a_video_are_lifted(workdir, tmp_path):
  keypoints = film_level(moving(20), (1280, 720)).keypoints('coco')
  found = np.concatenate([keypoints, np.ones((20, 17, 1))], axis=-1)
  np.save(tmp_path / 'people.npy', found)
  output = tmp_path / 'poses.json'
  status, out, err = run(
    *('predict', f'--checkpoint={workdir}', '--image_size=1280x720'),
    *(f'--detections={tmp_path / "people.npy"}', f'--output={output}'),
    *('--fps=25', '--solve=false'),
  )
  assert status == 0, err
  assert '20 poses' in out
  written = json.loads(output.read_text())
  poses = Lifter.load(workdir)(found, (1280, 720), fps=25)
  [person] = written['people'] if 'people' in written else [written]
  np.testing.assert_allclose(np.array(person['poses'], float), poses, atol=2e-3)


@pytest.mark.parametrize(
  'flags, said',
  [
    (['--batch_size=150'], 'batch_size=150'),
    (['--receptive_field=8'], 'receptive_field=8'),
    (['--device_data=streamed'], 'device_data=streamed'),
    (['--refine=pose_grammar'], 'refine'),
    (['--rate_low=20'], 'rate_low=20'),
  ],
)
def test_settings_that_do_not_go_together(tmp_path, flags, said):
  workdir = f'--workdir={tmp_path / "run"}'
  fails('train', *TINY, workdir, *flags, status=2, message=said)


def test_it_is_exported_for_clips_of_a_length(workdir, tmp_path):
  pytest.importorskip('flatbuffers')
  output = tmp_path / 'net.stablehlo'
  code, out, err = run(
    *('export', f'--checkpoint={workdir}', f'--output={output}', '--frames=8')
  )
  assert (code, err) == (0, '')
  assert 'on batches of 1, 7, 64 it differs from JAX by up to' in out
  assert output.stat().st_size > 1000
