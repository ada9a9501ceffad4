"""Keypoints in another order than it seems."""

import dataclasses

import numpy as np
import pytest
from filmed import keypoints_of

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.readings import check_reading


@pytest.fixture(scope='module')
def lifter():
  return Lifter.load('cmu')


def clip_of(keypoints, joint_set, **fields):
  person = Person('1', np.arange(len(keypoints)), keypoints)
  return Clip(
    'walk', (person,), 30.0, (1280, 720), joint_set=joint_set, source='f',
    **fields,
  )  # fmt: skip


@pytest.mark.parametrize('name', JOINT_SETS)
def test_what_is_read_as_meant_stays(lifter, caplog, name):
  clip = clip_of(keypoints_of(name=name), name)
  assert check_reading(lifter, clip) is clip and not caplog.text


@pytest.mark.parametrize(
  ('meant', 'read'),
  [
    ('h36m', 'mpii'),
    ('h36m_17', 'coco'),
    ('coco', 'h36m_17'),
    ('body_25b', 'body_25'),
    ('kinect_25', 'body_25'),
    ('azure_32', 'h36m_32'),
  ],
)
def test_another_order_is_recognized(lifter, caplog, meant, read):
  clip = clip_of(keypoints_of(name=meant), read)
  assert check_reading(lifter, clip).joint_set == meant
  assert f'seem to be those of {meant}, not {read}' in caplog.text
  named = dataclasses.replace(clip, is_named=True)
  with pytest.raises(UserError, match=f'f: .* give `joint_set={meant}`'):
    check_reading(lifter, named)


def test_y_before_x(lifter, caplog):
  clip = clip_of(keypoints_of()[..., [1, 0, 2]], 'coco')
  assert check_reading(lifter, clip) is clip
  assert 'if y comes before x' in caplog.text


def test_keypoints_of_nobody(lifter, caplog):
  order = np.random.default_rng(1).permutation(18)
  clip = clip_of(keypoints_of(name='openpose_18')[:, order], 'openpose_18')
  assert check_reading(lifter, clip) is clip
  assert 'are of no person' in caplog.text


def test_clips_without_people(lifter):
  clip = dataclasses.replace(clip_of(keypoints_of(), 'coco'), people=())
  assert check_reading(lifter, clip) is clip
