import numpy as np

from semgcn_jax.config.presets import preset
from semgcn_jax.data.h36m import ACTIONS
from semgcn_jax.evaluation import published


def references(name, **settings):
  config = preset(name, **settings)
  return published.references(config)


def test_published_tables_are_consistent():
  for key, errors in published.PER_ACTION.items():
    assert len(errors) == len(ACTIONS) == 15
    assert round(np.mean(errors), 1) == published.PAPER[key]
  table, line = references('h36m')
  assert table['WalkTogether'] == 39.0 and '40.78' in line
  assert references('h36m', actions=('Eating',))[0] == {}
  assert references('cmu') == ({}, '')
  table, line = references('h36m_sh', model='linear')
  assert table == {'mean of actions': 62.9} and '63.48' in line
  assert references('h36m', model='st_gcn') == ({'mean of actions': 57.4}, '')
  assert references('h36m', conv='channel_wise') == ({}, '')


def test_the_network_that_sees_pictures_is_not_one_that_is_given_the_2d():
  table, line = references('h36m_images')
  assert (table['Directions'], table['WalkTogether']) == (47.3, 45.3)
  assert (table['mean of actions'], line) == (57.6, '')
  for fields in (
    {'conv': 'semantic'},  # The paper's SemGCN, were it given the 2D.
    {'pooled_features': False},
    {'non_local': False},
    {'backbone': 'resnet18'},
    {'model': 'linear'},
    {'model': 'st_gcn'},
    {'stage': 'keypoints'},  # It predicts no poses yet.
    {'test_subjects': ('S9',)},
  ):
    assert references('h36m_images', **fields) == ({}, ''), fields
  assert references('rendered') == ({}, '')


def test_the_other_methods_published_rows():
  for name, (*errors, mean) in published.OTHERS.items():
    assert len(errors) == 15, name
    known = [error for error in errors if error is not None]
    missing = 15 - len(known)
    rest = 15 * mean - sum(known)
    if missing:  # What is not legible has errors like the rest.
      assert 0.7 * min(known) < rest / missing < max(known), name
    else:
      assert abs(rest) < 15 * 0.06, name
