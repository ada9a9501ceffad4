"""Training for any camera and detector, from the recipe to the Lifter."""

import shutil

import numpy as np
import pytest
from filmed import film_level, standing
from tiny import TINY_SETTINGS

from semgcn_jax import Lifter
from semgcn_jax.config.presets import preset
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation.evaluate import evaluate
from semgcn_jax.evaluation.predictions import predict_clips
from semgcn_jax.figures.poses import draw_grid
from semgcn_jax.motion.upright import make_scenes
from semgcn_jax.training.loop import train

# The rate of an epoch does not depend on how many there will be.
WILD = preset(
  'synthetic',
  **TINY_SETTINGS
  | {'recipe': 'wild', 'norm_poses': 0, 'lr': 1e-3}
  | {'lr_schedule': 'staircase', 'warmup_epochs': 0.0},
)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('wild') / 'run'
  return workdir, train(WILD, workdir)


@pytest.mark.slow
def test_a_wild_run_is_scored_lifted_and_drawn(trained, tmp_path):
  workdir, records = trained
  result = evaluate(workdir, 'last', {})
  assert result['mpjpe'] == pytest.approx(records[-1]['mpjpe'], rel=1e-5)
  once = evaluate(workdir, 'last', {'flip_test': False})
  assert once['mpjpe'] != pytest.approx(result['mpjpe'], rel=1e-5)
  filmed = film_level(standing(10), (1280, 720))
  keypoints = filmed.keypoints('mpii')
  lifted = Lifter.load(workdir).lift(keypoints, filmed.size, 'mpii')
  assert lifted.poses.shape == (10, 16, 3) and (lifted.errors > 0).all()
  clips = predict_clips(workdir, 'last', {})
  draw_grid(make_scenes(clips[:9])).savefig(tmp_path / 'poses.png')
  assert (tmp_path / 'poses.png').stat().st_size > 10_000


@pytest.mark.slow
def test_a_wild_run_resumes_with_the_same_bits(trained, tmp_path):
  _, whole = trained
  train(WILD.replace(epochs=1), tmp_path / 'parts')
  parts = train(WILD, tmp_path / 'parts', resume=True)
  for a, b in zip(parts, whole, strict=True):
    assert (a['mpjpe'], a['train_loss']) == (b['mpjpe'], b['train_loss'])
  assert len(whole) == 2


@pytest.mark.slow
def test_training_goes_on_from_a_run(trained, tmp_path):
  workdir, records = trained
  source = tmp_path / 'first'
  shutil.copytree(workdir, source)
  settings = preset(
    'synthetic',
    **TINY_SETTINGS
    | {'recipe': 'wild', 'norm_poses': 0, 'lr': 1e-9, 'epochs': 1}
    | {'init_from': str(source), 'averaging': 0.0},
  )
  assert settings.model.hid_dim == WILD.model.hid_dim
  [record] = train(settings, tmp_path / 'run')
  np.testing.assert_allclose(record['mpjpe'], records[-1]['mpjpe'], rtol=0.05)


def test_the_weights_in_the_box_can_be_trained_on():
  settings = preset('cmu_wild', init_from='cmu', hid_dim=128)
  assert settings.model.input_joints == preset('cmu_wild').model.input_joints
  with pytest.raises(
    SettingError, match='needs `refine`, `input_joints` or `backbone`'
  ):
    preset('cmu', init_from='cmu')


@pytest.mark.parametrize(
  'settings, message',
  [
    ({'input_joints': ('spider',)}, '`input_joints=spider`: choose from'),
    ({'noise': 3.0}, '`noise`: cannot be combined with `input_joints`'),
    ({'virtual_turn': 9.0}, '`virtual_turn`: cannot be combined'),
    ({'keypoints': 'sh'}, '`keypoints`: cannot be combined'),
    ({'refine': 'pose_grammar'}, '`input_joints`: cannot be combined'),
    ({'film_fov_low': 90.0}, '`film_fov_low=90.0`: is above `film_fov_high`'),
    ({'film_size_low': 0.0}, '`film_size_low=0`: must be above 0'),
    ({'swaps': 2.0}, '`swaps=2.0`: must be from 0 to 1'),
  ],
)
def test_settings_that_contradict_each_other(settings, message):
  with pytest.raises(SettingError, match=message):
    preset('cmu_wild', **settings)
