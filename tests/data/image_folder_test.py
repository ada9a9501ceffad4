import numpy as np
import pytest
from pictured import DAMAGE, encoded, gradient, people, write_folder

from semgcn_jax.config import DataConfig
from semgcn_jax.data import datasets, image_folder
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import H36M


def settings(folder, **changes):
  return DataConfig(
    **{'dataset': 'images', 'data_dir': str(folder), 'crop_size': 32} | changes
  )


def test_reads_pairs_with_their_pictures(tmp_path):
  boxes = np.array([[0, 0, 64, 64], [16, 8, 32, 48]] * 3)
  actions = np.array(['walk', 'run'] * 3)
  write_folder(tmp_path, boxes=boxes, actions=actions)
  dataset = datasets.load(settings(tmp_path), H36M)
  poses, pixels = people(6)
  train, test = dataset.train, dataset.test
  assert dataset.val is None and len(train) == len(test) == 3
  np.testing.assert_allclose(
    train.inputs, pixels[::2] / 32 - 1, rtol=0, atol=1e-6
  )
  # The box of 32 by 48 about (32, 32) becomes the square of 48 from 8, 8.
  np.testing.assert_allclose(
    test.inputs, (pixels[1::2] - 8) / 24 - 1, rtol=0, atol=1e-6
  )
  np.testing.assert_allclose(
    test.targets + test.roots[:, None], poses[1::2], atol=1e-6
  )
  assert not test.targets[:, H36M.root].any()
  assert (train.action_names, test.action_names) == (('walk',), ('run',))
  assert train.images.shape == (3, 32, 32, 3)
  # Red is x: the middle of the square of 48 from 8 is the picture's middle.
  columns = test.images[np.array([0])][0, :, :, 0].mean(0)
  expected = (8 + 48 * (np.arange(32) + 0.5) / 32) / 64 * 255
  np.testing.assert_allclose(columns, expected, atol=3)
  alone = datasets.load(settings(tmp_path, actions=('run',)), H36M, train=False)
  assert alone.train is None and len(alone.test) == 3
  every_second = datasets.load(settings(tmp_path, downsample=2), H36M)
  assert len(every_second.train) == len(every_second.test) == 2


def test_without_boxes_the_joints_are_inside_of_the_crop(tmp_path):
  splits = np.array(['train', 'val', 'test'] * 2)
  write_folder(tmp_path, splits=splits)
  pairs = image_folder.read(settings(tmp_path), H36M)
  assert {name: len(split) for name, split in pairs.items()} == {
    'test': 2,
    'train': 2,
    'val': 2,
  }
  edge = np.abs(pairs['train'].inputs).max(axis=(1, 2))
  np.testing.assert_allclose(edge, 1 / 1.3, rtol=1e-5)


def test_finds_the_pictures_in_a_folder_of_their_own(tmp_path):
  write_folder(tmp_path / 'a')
  (tmp_path / 'a' / 'p').rename(tmp_path / 'p')
  config = settings(tmp_path / 'a', image_dir=str(tmp_path))
  assert datasets.load(config, H36M).test.images[:].shape == (3, 32, 32, 3)


@pytest.mark.parametrize('kind', DAMAGE)
def test_damage_is_left_out_of_training_and_refused_in_scoring(
  tmp_path, kind, caplog
):
  write_folder(tmp_path)

  def damage(number):
    path = tmp_path / f'p/{number}.jpg'
    content = DAMAGE[kind](gradient(64, 64))
    if content is None:
      path.unlink()
    else:
      path.write_bytes(content)

  damage(2)
  dataset = datasets.load(settings(tmp_path), H36M)
  assert len(dataset.train) == len(dataset.train.images) == 2
  assert dataset.train.images.paths[1].endswith('4.jpg')
  assert dataset.train.images[:].shape == (2, 32, 32, 3)
  (message,) = caplog.messages
  assert f'1 {kind}' in message and '2.jpg' in message
  damage(3)
  with pytest.raises(UserError, match='3.jpg') as raised:
    datasets.load(settings(tmp_path), H36M, train=False)
  assert '1 of 3 images' in str(raised.value)


POSES, PIXELS = people(6)
NOT_A_NUMBER = POSES.copy()
NOT_A_NUMBER[4, 2, 1] = np.inf
NAMES = [f'p/{number}.jpg' for number in range(6)]


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'names': None}, 'holds no names'),
    ({'splits': None}, 'holds no splits'),
    ({'names': np.array([*NAMES[:5], '../x.jpg'])}, r'names\[5\]'),
    ({'names': np.array(['/etc/x.jpg', *NAMES[1:]])}, r'names\[0\]'),
    ({'names': np.array(['c:\\x.jpg', *NAMES[1:]])}, r'names\[0\]'),
    ({'names': np.array(['', *NAMES[1:]])}, r'names\[0\]'),
    ({'names': np.array(NAMES, object)}, 'objects'),
    ({'names': np.arange(6)}, 'not text'),
    ({'keypoints': PIXELS[:5]}, r'keypoints is .*\[5, 16, 2\]'),
    ({'keypoints': PIXELS / 64}, 'give pixels'),
    (
      {'keypoints': PIXELS * [[[1]]] * (np.arange(6) != 2)[:, None, None]},
      'zero',
    ),
    ({'poses': POSES[:, :15]}, r'\[6, 15, 3\]'),
    ({'poses': POSES * 1000}, 'millimetres'),
    ({'poses': POSES - POSES[:, :1]}, 'behind the camera'),
    ({'poses': NOT_A_NUMBER}, r'poses\[4\] is not a number'),
    ({'splits': np.array(['train', 'tset'] * 3)}, 'tset'),
    ({'splits': np.array(['train'] * 6)}, 'no test pairs'),
    ({'splits': np.array(['test'] * 6)}, 'no train pairs'),
    ({'boxes': np.zeros((6, 4))}, r'boxes\[0\] has the width 0'),
    (
      {'boxes': np.tile([9, 9, -9, 50], (6, 1))},
      r'boxes\[0\] has the width -9',
    ),
    ({'boxes': np.tile([200, 0, 64, 64], (6, 1))}, r'boxes\[0\] holds 0 of 16'),
    ({'boxes': np.full((6, 4), 1e9)}, 'crop of pair 0 has 1e'),
    ({'boxes': np.zeros((6, 2))}, 'boxes is'),
  ],
)
def test_refuses_bad_annotations(tmp_path, changes, message):
  write_folder(tmp_path, **changes)
  with pytest.raises(UserError, match=message) as raised:
    datasets.load(settings(tmp_path), H36M)
  assert 'annotations.npz' in str(raised.value)
  assert '\n' not in str(raised.value)


def test_refuses_files_that_are_no_annotations(tmp_path):
  with pytest.raises(UserError, match='no such file'):
    datasets.load(settings(tmp_path), H36M)
  (tmp_path / 'annotations.npz').write_bytes(b'PK\3\4 and no more')
  with pytest.raises(UserError, match='cut off or not an npz'):
    datasets.load(settings(tmp_path), H36M)
  for name, value in (
    ('train_subjects', ('S1',)),
    ('keypoints', 'cpn'),
    ('cameras', 'cameras.json'),
  ):
    with pytest.raises(SettingError, match=name):
      datasets.load(settings(tmp_path, **{name: value}), H36M)


def test_writes_what_it_reads(tmp_path):
  poses, pixels = people(4, 32)
  pictures = np.stack([gradient(32, 32, 30 * n) for n in range(4)])
  written = Pairs(
    inputs=pixels / 16 - 1,
    targets=poses - poses[:, :1],
    roots=poses[:, 0],
    cameras=np.zeros(4, np.int32),
    actions=np.array([0, 1, 1, 0]),
    action_names=('run', 'walk'),
    camera_list=(),
    images=pictures,
  )
  image_folder.write(tmp_path / 'new', {'train': written, 'test': written})
  dataset = datasets.load(settings(tmp_path / 'new'), H36M)
  for pairs in (dataset.train, dataset.test):
    for name in ('inputs', 'targets', 'roots'):
      np.testing.assert_allclose(
        getattr(pairs, name), getattr(written, name), atol=1e-6
      )
    np.testing.assert_array_equal(pairs.actions, written.actions)
    assert pairs.action_names == written.action_names
    assert abs(pairs.images[:].astype(int) - pictures).max() < 10
  (tmp_path / 'file').write_bytes(encoded(pictures[0]))
  with pytest.raises(UserError, match='another folder'):
    image_folder.write(tmp_path / 'file', {'test': written})
