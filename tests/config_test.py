import dataclasses
import json
import re

import pytest

from semgcn_jax import config
from semgcn_jax.config.presets import PRESETS, PUBLISHED_SIZES, RECIPES, preset
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.models.convolutions import CONVOLUTIONS
from semgcn_jax.training.losses import MEASURES, NODE_MEASURES

FIELDS = [f for fields in config.fields_by_group().values() for f in fields]


def test_every_field_has_a_help_text():
  for field in FIELDS:
    text = field.metadata['help']
    assert text[0].isupper() and text.endswith('.'), field.name


def test_names_are_unique_and_flat():
  names = [field.name for field in FIELDS]
  assert len(set(names)) == len(names)
  assert list(config.Config().flat()) == names


def test_choices_are_those_there_are():
  choices = {field.name: field.metadata['choices'] for field in FIELDS}
  assert set(choices['conv']) == set(CONVOLUTIONS)
  assert choices['loss'] == (
    *('joints', 'joints_bones', 'distance', 'distance_bones'),
    *('huber', 'huber_bones'),
    *NODE_MEASURES,
  )
  of_poses = choices['loss'][: -len(NODE_MEASURES)]
  losses = [config.TrainingConfig(loss=name) for name in of_poses]
  assert {loss.loss_measure for loss in losses} == set(MEASURES)
  assert [loss.bones_count for loss in losses] == [False, True] * 3
  assert set(choices['recipe']) == set(RECIPES)
  assert set(choices['model']) == set(PUBLISHED_SIZES)


@pytest.mark.parametrize('name', PRESETS)
def test_presets_are_saved_and_loaded(name, tmp_path):
  settings = preset(name, data_dir='elsewhere', epochs=7)
  config.save(settings, tmp_path / 'config.json')
  assert config.load(tmp_path / 'config.json') == settings
  assert [p.name for p in tmp_path.iterdir()] == ['config.json']
  saved = json.loads((tmp_path / 'config.json').read_text())
  assert set(saved) == {field.name for field in FIELDS}


def test_the_names_of_before_are_understood(tmp_path):
  path = tmp_path / 'config.json'
  saved = config.Config().replace(refine='pose_grammar').flat()
  del saved['init_from'], saved['freeze_init'], saved['fps']
  saved |= {'lifter': 'runs/other', 'freeze_lifter': True, 'data_fps': 25.0}
  path.write_text(json.dumps(saved))
  loaded = config.load(path)
  model = loaded.model
  assert loaded.data.fps == 25.0
  assert (model.init_from, model.freeze_init) == ('runs/other', True)
  # The new name wins, wherever it stands.
  path.write_text(json.dumps({'fps': 10.0} | saved))
  assert config.load(path).data.fps == 10.0
  with pytest.raises(TypeError, match='data_fps, now called fps'):
    config.Config().replace(data_fps=25.0)


def test_replacing_settings_of_any_group():
  before = config.Config()
  after = before.replace(lr=0.5, hid_dim=8, preset='cmu')
  changed = {
    name for name, value in before.flat().items() if after.flat()[name] != value
  }
  assert changed == {'lr', 'hid_dim', 'preset'}
  assert (after.training.lr, after.model.hid_dim) == (0.5, 8)
  with pytest.raises(TypeError, match='no setting colour'):
    before.replace(colour='red')
  with pytest.raises(
    TypeError, match=r'no setting epoch \(did you mean epochs'
  ):
    before.replace(epoch=3)
  with pytest.raises(dataclasses.FrozenInstanceError):
    before.training.lr = 1.0


def test_released_settings():
  h36m = preset('h36m').flat()
  expected = {'batch_size': 64, 'epochs': 30, 'lr': 1e-3, 'dropout': 0.0}
  expected |= {'lr_decay': 100_000, 'lr_gamma': 0.96, 'max_norm': 1.0}
  expected |= {'hid_dim': 128, 'num_layers': 4}
  assert {name: h36m[name] for name in expected} == expected


@pytest.mark.parametrize(
  'field, value',
  [
    ('epochs', 0),
    ('lr', -1.0),
    ('lr', float('nan')),
    ('lr', float('inf')),
    ('batch_size', -64),
    ('dropout', 1.0),
    ('seed', -1),
    ('seed', 2**32),
    ('lr', 1e300),
    ('epochs', 2.5),
    ('data_dir', 5),
    ('non_local', 1),
    ('precision', 'low'),
    ('averaging', 1.0),
    ('missing', -0.1),
    ('noise', -1.0),
    ('virtual_turn', 181.0),
    ('virtual_pitch', float('nan')),
    ('virtual_shift', -1.0),
    ('virtual_zoom', 1.5),
    ('lr_schedule', 'steps'),
    ('choose_on', 'luck'),
    ('recipe', 'secret'),
    ('model', 'resnet'),
    ('conv', 'resnet'),
    ('loss', 'l9'),
    ('refine', 'much'),
    ('norm_poses', 1),
  ],
)
def test_values_out_of_range_name_the_setting(field, value):
  with pytest.raises(SettingError, match=re.escape(f'`{field}={value}`: ')):
    preset('synthetic', **{field: value})


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'conv': 'gat', 'hid_dim': 6}, '`hid_dim=6`: must be a multiple of the 4'),
    ({'freeze_init': True}, '`freeze_init`: needs `init_from`'),
    ({'init_from': 'a'}, '`init_from=a`: needs `refine`'),
    ({'choose_on': 'val'}, '`choose_on=val`: needs `val_subjects`'),
  ],
)
def test_settings_that_contradict_each_other(settings, message):
  with pytest.raises(SettingError, match=message):
    preset('cmu', **settings)


def test_a_frozen_start_is_not_decayed():
  settings = config.Config().replace(
    refine='pose_grammar', init_from='a', freeze_init=True
  )
  with pytest.raises(SettingError, match='use `weight_decay=0`'):
    settings.replace(weight_decay=0.1)


def test_a_recipe_gives_way_to_presets_and_settings():
  for settings in (
    preset('cmu_best'),
    preset('cmu', recipe='best'),
    preset('h36m_best'),
  ):
    for name, value in RECIPES['best'].items():
      assert settings.flat()[name] == value, name
  assert preset('cmu_best', lr=0.1).training.lr == 0.1
  released = preset('cmu_best', recipe='released', epochs=30)
  assert released.replace(preset='cmu') == preset('cmu')
  # The test set is looked at only by name.
  assert preset('cmu').evaluation.choose_on == 'test'
  assert preset('cmu_best').evaluation.choose_on == 'last'
  assert preset('cmu', val_subjects=('S1',)).evaluation.choose_on == 'val'
  # A run can be scored on other 2D than it was trained on.
  scored = preset('cmu_best').replace(keypoints='sh')
  assert scored.augmentation.virtual_cameras == ('virtual_turn',)


def test_presets_of_pictures_train_on_the_true_2d_without_a_backbone():
  settings = preset('rendered_small', backbone='')
  assert (settings.model.backbone, settings.data.crop_size) == ('', 64)
  assert settings.training.keypoint_loss == 'l1'
  with pytest.raises(SettingError, match='`backbone_lr=0.5`: has no meaning'):
    preset('rendered_small', backbone='', backbone_lr=0.5)


def test_unknown_preset_lists_the_presets():
  with pytest.raises(
    SettingError, match='`preset=x`: choose from synthetic, h36m'
  ):
    preset('x')


@pytest.mark.parametrize('text', ['', '[]', '{"color": 1}', '{"epochs": 0}'])
def test_a_damaged_config_is_named(text, tmp_path):
  path = tmp_path / 'config.json'
  path.write_text(text)
  with pytest.raises(UserError, match=r'config.json: not the config of a run'):
    config.load(path)


RENDERED = {'dataset': 'rendered', 'backbone': 'tiny'}


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'backbone': 'tiny'}, 'needs images'),
    (
      {'dataset': 'h36m', 'image_dir': 'x'},
      '`image_dir`: needs `backbone`',
    ),
    ({'dataset': 'images'}, '`dataset=images`: needs `backbone`'),
    (RENDERED | {'noise': 1.0}, '`noise`'),
    (RENDERED | {'stage': 'graph'}, '`stage=graph`: needs .* `init_from`'),
    (
      RENDERED | {'stage': 'keypoints', 'keypoint_weight': 0.0},
      '`keypoint_weight=0`: nothing would learn',
    ),
    (
      RENDERED | {'backbone_weights': 'x.npz', 'init_from': 'x'},
      '`backbone_weights`: `init_from` brings a backbone',
    ),
    (
      RENDERED | {'image_aligned': True, 'image_zoom': 0.1},
      '`image_zoom`: cannot be combined with `image_aligned`',
    ),
    (
      RENDERED | {'virtual_turn': 10.0},
      '`virtual_turn`',
    ),
    (
      RENDERED | {'expected_error': True},
      '`expected_error`: cannot be combined with `backbone`',
    ),
    ({'backbone_weights': 'x.npz'}, 'needs `backbone`'),
    ({'stage': 'graph'}, '`stage=graph`: has no meaning without `backbone`'),
    ({'causal': True}, '`causal=True`: has no meaning without `model=semgcn_t'),
    ({'film_pan': 9.0}, '`film_pan=9.0`: has no meaning without `model=semgcn'),
    (
      {'model': 'semgcn_temporal', 'lasting': 3.0},
      '`lasting=3.0`: has no meaning without `input_joints`',
    ),
    (
      {
        'model': 'semgcn_temporal',
        'input_joints': ('coco',),
        'frame_rate': 30.0,
      },
      '`frame_rate=30.0`: clips are filmed at 8.0 to 13.0 frames per second',
    ),
    ({'model': 'semgcn_temporal', 'hid_dim': 50}, '`hid_dim=50`: must be'),
    ({'pooled_features': False}, '`pooled_features=False`: has no meaning'),
    ({'image_turn': 5.0}, '`image_turn=5.0`: has no meaning'),
    ({'dataset': 'rendered', 'keypoint_weight': 0.5}, '`keypoint_weight=0.5`'),
    ({'crop_size': 64}, '`crop_size=64`: has no meaning'),
    ({'crop_size': 100}, 'a multiple of 32'),
  ],
)
def test_settings_of_pictures_that_contradict(settings, message):
  with pytest.raises(SettingError, match=message):
    config.Config().replace(**settings)


def test_a_preset_leaves_out_what_a_skeleton_does_not_have(tmp_path):
  path = tmp_path / 'skeleton.json'
  fields = {'joints': ['a', 'b', 'c'], 'parents': [-1, 0, 0]}
  path.write_text(json.dumps(fields))
  plain = preset('synthetic', dataset='mine', skeleton=str(path))
  assert not plain.augmentation.flip and not plain.evaluation.flip_test
  assert not plain.augmentation.virtual_cameras
  # What is given stays, to be refused where it cannot be.
  assert preset('synthetic', skeleton=str(path), flip=True).augmentation.flip
  path.write_text(json.dumps(fields | {'left': [1], 'right': [2]}))
  sides = preset('synthetic', dataset='mine', skeleton=str(path))
  assert sides.augmentation.flip and sides.evaluation.flip_test
  assert preset('synthetic').augmentation.virtual_turn == 180


def test_a_regression_has_a_preset_of_its_own():
  settings = preset('synthetic', task='regression', dataset='mine')
  assert settings.preset == 'regression' and settings.takes == 'nodes'
  assert settings.scored_by == 'rmse'
  best = preset('cmu_best', task='regression', loss='mse')
  assert not best.augmentation.flip and best.takes == 'nodes'
