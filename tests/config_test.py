import dataclasses
import re

import pytest

from semgcn_jax import config
from semgcn_jax.errors import SettingError, UserError


def test_every_field_has_a_comment():
  for field in dataclasses.fields(config.Config):
    assert field.metadata['help'].endswith('.'), field.name


@pytest.mark.parametrize('name', config.PRESETS)
def test_presets_are_saved_and_loaded(name, tmp_path):
  settings = config.preset(name, actions=('Walk', 'Run'))
  config.save(settings, tmp_path / 'config.json')
  assert config.load(tmp_path / 'config.json') == settings
  assert [p.name for p in tmp_path.iterdir()] == ['config.json']


def test_released_settings():
  h36m = config.preset('h36m')
  assert (h36m.batch_size, h36m.epochs, h36m.lr) == (64, 30, 1e-3)
  assert (h36m.lr_decay, h36m.lr_gamma, h36m.max_norm) == (100_000, 0.96, 1)
  assert (h36m.hid_dim, h36m.num_layers, h36m.dropout) == (128, 4, 0)


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
  ],
)
def test_values_out_of_range_name_the_flag(field, value):
  with pytest.raises(SettingError, match=re.escape(f'--{field}={value}: ')):
    config.preset('synthetic', **{field: value})


def test_a_recipe_gives_way_to_presets_and_flags():
  best = config.RECIPES['best']
  for settings in (
    config.preset('cmu_best'),
    config.preset('cmu', recipe='best'),
    config.preset('h36m_best'),
  ):
    for name, value in best.items():
      assert getattr(settings, name) == value, name
  assert config.preset('cmu_best', lr=0.1).lr == 0.1
  released = config.preset('cmu_best', recipe='released', epochs=30)
  same = dataclasses.replace(released, preset='cmu')
  assert same == config.preset('cmu')
  # The test set is looked at only by name.
  assert config.preset('cmu').choose_on == 'test'
  assert config.preset('cmu_best').choose_on == 'last'
  held = config.preset('cmu', val_subjects=('S1',))
  assert held.choose_on == 'val'
  with pytest.raises(
    SettingError, match='--choose_on=val: needs --val_subjects'
  ):
    config.preset('cmu', choose_on='val')
  # A run can be scored on other 2D than it was trained on.
  scored = dataclasses.replace(config.preset('cmu_best'), keypoints='sh')
  assert scored.virtual_cameras == ('virtual_turn',)


def test_unknown_preset_lists_the_presets():
  with pytest.raises(
    SettingError, match='--preset=x: choose from synthetic, h36m'
  ):
    config.preset('x')


@pytest.mark.parametrize('text', ['', '[]', '{"color": 1}', '{"epochs": 0}'])
def test_a_damaged_config_is_named(text, tmp_path):
  path = tmp_path / 'config.json'
  path.write_text(text)
  with pytest.raises(UserError, match=r'config.json: not the config of a run'):
    config.load(path)
