import dataclasses

import numpy as np
import pytest
from filmed import moving

from semgcn_jax.config import DataConfig
from semgcn_jax.data import datasets, rendered, synthetic
from semgcn_jax.data.npz import write_poses_3d
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.cameras import normalize_screen, project
from semgcn_jax.geometry.skeletons import H36M, Skeleton


def upright(count=10, shift=0.0):
  """People who walk, z up, in metres, `[T, 16, 3]` float32."""
  level = moving(25)[:count]
  poses = np.stack([level[..., 0], level[..., 2], -level[..., 1]], axis=-1)
  return (poses + shift).astype(np.float32)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp('motions') / 'data_3d_mine.npz'
  poses = {
    'S1': {'Walk 1': upright(), 'Run 1': upright(6)},
    'S13': {'Walk 2': upright(8), 'Run 2': upright(5)},
  }
  write_poses_3d(poses, path)
  return DataConfig(
    dataset='rendered',
    crop_size=32,
    rendered_train=70,
    rendered_test=5,
    rendered_motions=str(path),
  )


@pytest.fixture(scope='module')
def dataset(config):
  return datasets.load(config, H36M)


def test_pairs_have_pictures_and_true_joints(dataset):
  for pairs, count in ((dataset.train, 70), (dataset.test, 5)):
    assert len(pairs) == count
    assert pairs.images.shape == (count, 32, 32, 3)
    assert pairs.images.dtype == np.uint8
    assert pairs.images.std(axis=(1, 2)).min() > 0  # None is empty.
    assert pairs.inputs.shape == (count, 16, 2)
    assert pairs.targets.shape == (count, 16, 3)
    for array in (pairs.inputs, pairs.targets, pairs.roots):
      assert array.dtype == np.float32
    assert not pairs.targets[:, H36M.root].any()
    assert pairs.action_names == ('Run', 'Walk')
    assert set(pairs.actions) == {0, 1}


def test_inputs_are_projections_of_the_targets(dataset):
  pairs = dataset.train
  positions = pairs.targets.astype(float) + pairs.roots[:, None]
  for pose, seen, index in zip(
    positions, pairs.inputs, pairs.cameras, strict=True
  ):
    # The focal length is what fits all joints best.
    slope = pose[:, :2] / pose[:, 2:]
    focal = (slope * seen).sum() / (slope**2).sum()
    np.testing.assert_allclose(slope * focal, seen, atol=1e-4)
    camera = pairs.camera_list[index]
    screen = normalize_screen(project(pose, camera), camera)
    np.testing.assert_allclose(screen, seen, atol=1e-4)
  head, ankle = H36M.joints.index('Head'), H36M.joints.index('LAnkle')
  assert (pairs.inputs[:, head, 1] < pairs.inputs[:, ankle, 1]).all()


@pytest.mark.slow
def test_more_pictures_begin_with_the_same_ones(config, dataset):
  fewer = dataclasses.replace(config, rendered_train=9, rendered_test=67)
  other = datasets.load(fewer, H36M)
  for name in ('images', 'inputs', 'targets', 'actions'):
    for a, b in ((dataset.train, other.train), (dataset.test, other.test)):
      count = min(len(a), len(b))
      np.testing.assert_array_equal(
        getattr(a, name)[:count], getattr(b, name)[:count]
      )
  reseeded = dataclasses.replace(fewer, rendered_seed=1)
  changed = datasets.load(reseeded, H36M, train=False)
  assert changed.train is None
  assert not np.array_equal(changed.test.images, other.test.images)


def test_nothing_of_the_test_is_in_training(dataset):
  for name in ('inputs', 'targets', 'images'):
    rows = [
      {row.tobytes() for row in getattr(pairs, name)}
      for pairs in (dataset.train, dataset.test)
    ]
    assert not rows[0] & rows[1]


@pytest.mark.parametrize(
  'subjects, tested',
  [
    (synthetic.CLIPS, {'S9', 'S11'}),
    (('S1', 'S9', 'S13', 'S135'), {'S13', 'S135'}),
  ],
)
def test_the_split_is_the_standard_one(subjects, tested):
  split = rendered.split({subject: {} for subject in subjects})
  assert set(split[False]) == tested
  assert set(split[True]) == set(subjects) - tested


@pytest.mark.slow
def test_actions_choose(config):
  chosen = dataclasses.replace(config, actions=('Run',))
  assert set(datasets.load(chosen, H36M).train.action_names) == {'Run'}
  with pytest.raises(SettingError, match='no Fly in the motions'):
    datasets.load(dataclasses.replace(config, actions=('Fly',)), H36M)


@pytest.mark.parametrize(
  'change',
  [
    {'keypoints': 'cpn'},
    {'train_subjects': ('S1',)},
    {'test_subjects': ('S1',)},
    {'val_subjects': ('S1',)},
    {'downsample': 2},
    {'test_downsample': 2},
    {'image_dir': 'pictures'},
    {'cameras': 'cameras.json'},
  ],
  ids=lambda change: next(iter(change)),
)
def test_settings_that_contradict_are_refused(config, change):
  with pytest.raises(SettingError) as error:
    datasets.load(dataclasses.replace(config, **change), H36M)
  message = str(error.value)
  assert message.startswith(f'`{next(iter(change))}`') and '\n' not in message


def test_other_skeletons_are_refused(config):
  with pytest.raises(SettingError, match='`skeleton`'):
    datasets.load(config, Skeleton(('a', 'b'), (-1, 0)))
  with pytest.raises(SettingError, match='no files of poses'):
    datasets.read(config)


@pytest.mark.parametrize(
  'poses, message',
  [
    ({'S1': {'Walk': upright()[:, :15]}}, '15 joints'),
    ({'S1': {'Walk': upright() * np.float32('nan')}}, 'not numbers'),
    ({'S1': {'Walk': upright() * 1000}}, 'millimetres'),
    ({'S1': {'Walk': upright()}}, 'subjects S1'),
  ],
  ids=['joints', 'nan', 'unit', 'split'],
)
def test_motions_that_are_wrong_are_refused(config, tmp_path, poses, message):
  path = tmp_path / 'data_3d_wrong.npz'
  write_poses_3d(poses, path)
  with pytest.raises(UserError, match=message) as error:
    datasets.load(dataclasses.replace(config, rendered_motions=str(path)), H36M)
  assert str(path) in str(error.value)


@pytest.mark.slow
def test_synthetic_motions_are_rendered_by_default():
  config = DataConfig(
    dataset='rendered', crop_size=32, rendered_train=200, rendered_test=200
  )
  dataset = datasets.load(config, H36M)
  assert dataset.train.action_names == tuple(sorted(synthetic.FAMILIES))
  assert len(set(dataset.test.actions)) == 10
  assert np.abs(dataset.train.inputs).max() < 1
