import dataclasses
import hashlib
import json
import logging

import numpy as np
import pytest

from semgcn_jax.config import DataConfig, presets
from semgcn_jax.config.data import OF_PICTURES, OF_POSES
from semgcn_jax.data import cmu, datasets, synthetic
from semgcn_jax.data.image_aligned import canonical_length, image_aligned
from semgcn_jax.data.npz import write_poses_3d
from semgcn_jax.data.pairs import draw_weights
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.evaluation.scores import mean_pose_score
from semgcn_jax.geometry.skeletons import H36M, Skeleton


@pytest.fixture(scope='module')
def dataset():
  return datasets.load(presets.preset('synthetic').data, H36M)


def test_synthetic_is_a_fair_miniature(dataset):
  assert len(dataset.train) == 20_000 and len(dataset.test) == 5_000
  assert len(dataset.test.action_names) == 10
  assert mean_pose_score(dataset.train, dataset.test) > 150
  assert abs(dataset.train.inputs).max() < 1.8  # In, or close to, the image.


def test_synthetic_has_the_same_bits_everywhere(dataset):
  digest = hashlib.sha256()
  for pairs in (dataset.train, dataset.test):
    digest.update(pairs.inputs.tobytes() + pairs.targets.tobytes())
  assert digest.hexdigest() == (
    '90abd8a083e966babb0cdbc52f5983e2636bf61cdc30ee52defd431acb76b71d'
  )
  assert not np.array_equal(
    synthetic.generate(0)['S1']['Walking 1'],
    synthetic.generate(1)['S1']['Walking 1'],
  )


def test_synthetic_people_are_rigid_symmetric_and_smooth():
  lengths = {}
  for subject, clips in synthetic.generate(0).items():
    poses = np.stack(list(clips.values())).astype(np.float64)
    bones = {
      child: np.linalg.norm(
        poses[..., child, :] - poses[..., parent, :], axis=-1
      )
      for parent, child in H36M.bones
    }
    for bone in bones.values():
      assert np.ptp(bone) < 1e-5
    for left, right in zip(H36M.left, H36M.right, strict=True):
      np.testing.assert_allclose(bones[left], bones[right], atol=1e-5)
    lengths[subject] = round(sum(b.mean() for b in bones.values()), 4)
    assert abs(np.diff(poses, axis=1)).max() < 0.8  # Metres in 0.1 s.
    np.testing.assert_allclose(poses[..., 2].min(axis=-1), 0.08, atol=1e-6)
  assert len(set(lengths.values())) == 7


def test_synthetic_angles_stay_within_the_limits():
  random = synthetic._Random(3)
  time = np.arange(200) / 10
  for family in synthetic.FAMILIES.values():
    angles = synthetic._angles(family, time, False, random)
    for j, joint in enumerate(H36M.joints):
      for axis, (low, high) in enumerate(synthetic.LIMITS[joint.lstrip('LR')]):
        assert low <= angles[:, j, axis].min()
        assert angles[:, j, axis].max() <= high


def test_synthetic_sines():
  degrees = np.linspace(-1000, 1000, 4001)
  sin, cos = synthetic._sin_cos(degrees)
  np.testing.assert_allclose(sin, np.sin(np.deg2rad(degrees)), atol=1e-12)
  np.testing.assert_allclose(cos, np.cos(np.deg2rad(degrees)), atol=1e-12)


def test_synthetic_bending_goes_forward():
  angles = np.zeros((1, 16, 3))
  angles[:, H36M.joints.index('Spine'), 0] = 45
  angles[:, H36M.joints.index('RKnee'), 0] = 90
  angles[:, H36M.joints.index('RElbow'), 1] = 90
  angles[:, H36M.joints.index('LElbow'), 1] = 90
  (pose,) = synthetic._forward_kinematics(
    angles, np.zeros(1), synthetic.OFFSETS
  )
  place = dict(zip(H36M.joints, pose, strict=True))
  assert place['Head'][1] > 0.3  # Forward is +y.
  assert place['RKnee'][1] - place['RHip'][1] > 0.4
  assert place['RElbow'][0] > place['RShoulder'][0] + 0.25  # Right is +x.
  assert place['LElbow'][0] < place['LShoulder'][0] - 0.25


def test_cmu_benchmark(shared):
  dataset = datasets.load(
    presets.preset('cmu', data_dir=str(shared / 'cmu')).data, H36M
  )
  assert len(dataset.train) == 100_716 and len(dataset.test) == 22_232
  assert round(mean_pose_score(dataset.train, dataset.test), 1) == 236.9


def write_poses(path, clips):
  rng = np.random.default_rng(0)
  poses = {
    subject: {
      action: rng.uniform(-0.5, 0.5, (count, 16, 3)) + (0, 0, 1)
      for action, count in actions.items()
    }
    for subject, actions in clips.items()
  }
  np.savez(path, positions_3d=np.array(poses, object))


def test_more_poses_of_cmu(tmp_path):
  write_poses(
    tmp_path / 'data_3d_cmu.npz',
    {s: {'Walk': 3} for s in ('S1', 'S13', 'S35', 'S49', 'S135')},
  )
  more = tmp_path / 'more.npz'
  write_poses(more, {'S1': {'Run': 2}, 'S60': {'Dance': 5}})
  config = presets.preset(
    'cmu', data_dir=str(tmp_path), more_poses=str(more)
  ).data
  train = datasets.load(config, H36M).train
  found = {(v.subject, v.clip) for v in train.view_list}
  assert found == {('S1', 'Walk'), ('S1', 'Run'), ('S60', 'Dance')}
  assert len(train) == 4 * (3 + 2 + 5)
  weights = draw_weights(train, 1.0)
  of_subject = np.array([train.view_list[v].subject for v in train.views])
  for subject in ('S1', 'S60'):  # Both are drawn equally often.
    assert weights[of_subject == subject].sum() == pytest.approx(1)
  assert draw_weights(train, 0.0) is None
  for clips, told in (
    ({'S13': {'Run': 2}}, 'S13 is a test subject'),
    ({'S1': {'Walk': 2}}, 'S1 Walk is also in data_3d_cmu.npz'),
  ):
    write_poses(more, clips)
    with pytest.raises(UserError, match=told):
      datasets.load(config, H36M)


def test_cmu_clips_are_centred_by_loops():
  poses = np.random.default_rng(0).normal(size=(9, 16, 3)) * 2
  centred = cmu.center(poses)
  mean = sum(poses[:, 0, :2]) / 9
  for before, after in zip(poses, centred, strict=True):
    offset = before[0, :2] - mean
    length = np.hypot(*offset)
    if length > 1.5:
      offset = offset / length * 1.5
    np.testing.assert_allclose(after[0, :2], offset)
    np.testing.assert_allclose(after - after[0], before - before[0], atol=1e-9)
    np.testing.assert_array_equal(after[:, 2], before[:, 2])


def write_h36m(folder, joints):
  rng = np.random.default_rng(0)
  poses = {
    subject: {
      action: rng.uniform(-0.5, 0.5, (frames, 32, 3)).astype(np.float32)
      for action, frames in (('Directions', 4), ('Directions 1', 3))
    }
    for subject in ('S1', 'S5', 'S6', 'S7', 'S8', 'S9', 'S11')
  }
  kept = {
    32: range(32),
    17: [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27],
    16: [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27],
  }[joints]
  poses = {
    s: {a: p[:, list(kept)] for a, p in clips.items()}
    for s, clips in poses.items()
  }
  np.savez_compressed(folder / 'data_3d_h36m.npz', positions_3d=poses)
  return poses


@pytest.mark.parametrize('joints', [32, 17, 16])
def test_h36m_files(tmp_path, joints):
  poses = write_h36m(tmp_path, joints)
  settings = presets.preset('h36m', data_dir=str(tmp_path))
  dataset = datasets.load(settings.data, H36M)
  assert len(dataset.train) == 5 * 4 * 7
  assert len(dataset.test) == 4 * 7 + 4 * 3  # S11 Directions is left out.
  assert dataset.train.targets.shape[1:] == (16, 3)
  views = {
    s: {a: [np.full((len(p), joints, 2), 500.0)] * 4 for a, p in c.items()}
    for s, c in poses.items()
  }
  np.savez_compressed(
    tmp_path / 'data_2d_h36m_sh_ft_h36m.npz', positions_2d=views, metadata={}
  )
  settings = presets.preset('h36m_sh', data_dir=str(tmp_path))
  detected = datasets.load(settings.data, H36M)
  np.testing.assert_array_equal(detected.train.targets, dataset.train.targets)
  np.testing.assert_allclose(detected.train.inputs[0, :, 0], 0, atol=1e-6)
  with pytest.raises(UserError, match='data_2d_h36m_cpn.npz: no such file'):
    datasets.load(settings.replace(keypoints='cpn').data, H36M)


def test_h36m_joint_sets_give_the_same_pairs(tmp_path):
  loaded = []
  for joints in (32, 17, 16):
    write_h36m(tmp_path, joints)
    settings = presets.preset('h36m', data_dir=str(tmp_path))
    loaded.append(datasets.load(settings.data, H36M))
  for other in loaded[1:]:
    np.testing.assert_array_equal(other.test.inputs, loaded[0].test.inputs)
    np.testing.assert_array_equal(other.test.targets, loaded[0].test.targets)


def test_the_papers_protocol_2_split(tmp_path):
  write_h36m(tmp_path, 16)
  settings = presets.preset('h36m_protocol2', data_dir=str(tmp_path))
  dataset = datasets.load(settings.data, H36M)
  assert len(dataset.train) == 6 * 4 * 7
  assert len(dataset.test) == 4  # Frame 0 of 'Directions 1' by four cameras.


def test_a_dataset_of_ones_own(tmp_path):
  rng = np.random.default_rng(0)
  poses = {s: {'Wave': rng.normal(size=(5, 4, 3))} for s in ('Ann', 'Bob')}
  write_poses_3d(poses, tmp_path / 'data_3d_hand.npz')
  skeleton = Skeleton(('a', 'b', 'c', 'd'), (-1, 0, 1, 2))
  fields = {'data_dir': str(tmp_path), 'recipe': 'released'}

  def load(**changes):
    settings = presets.preset(
      'synthetic', **{'dataset': 'hand'} | fields | changes
    )
    return datasets.load(settings.data, skeleton)

  with pytest.raises(SettingError, match='`cameras`: give the cameras of'):
    load()
  # In front of a camera that looks along x from 9 m behind.
  camera = {
    'orientation': [0.5, -0.5, 0.5, -0.5],
    'translation': [-9, 0, 0],
    'focal_length': [1000, 1000],
    'center': [500, 400],
    'width': 1000,
    'height': 800,
  }
  path = tmp_path / 'cameras.json'
  path.write_text(json.dumps({'*': [camera], 'Bob': [camera, camera]}))
  fields['cameras'] = str(path)
  with pytest.raises(
    SettingError, match='give both, there is no standard split'
  ):
    load()
  fields |= {'train_subjects': ('Ann',), 'test_subjects': ('Bob',)}
  dataset = load()
  assert (len(dataset.train), len(dataset.test)) == (5, 10)
  x, y, z = poses['Ann']['Wave'][3, 2]
  expected = np.array([500 - 1000 * y / (x + 9), 400 - 1000 * z / (x + 9)])
  expected = expected / 1000 * 2 - (1, 0.8)
  np.testing.assert_allclose(dataset.train.inputs[3, 2], expected, atol=1e-5)
  with pytest.raises(UserError, match='data_2d_hand_cpn.npz: no such file'):
    load(keypoints='cpn')
  with pytest.raises(
    SettingError, match='`dataset=foot`: choose from synthetic'
  ):
    load(dataset='foot')


def test_a_subject_in_both_splits_is_refused():
  with pytest.raises(SettingError, match='S9 twice'):
    datasets.load(
      presets.preset('synthetic', train_subjects=('S1', 'S9')).data, H36M
    )
  with pytest.raises(
    SettingError, match='`dataset=mars`: choose from synthetic'
  ):
    datasets.load(presets.preset('cmu').replace(dataset='mars').data, H36M)


def test_what_would_count_a_pose_twice_is_refused():
  settings = presets.preset('synthetic', test_subjects=('S9', 'S9'))
  with pytest.raises(SettingError, match='S9 twice'):
    datasets.load(settings.data, H36M)
  # Without the training split, any subject may be tested.
  settings = presets.preset('synthetic', test_subjects=('S1',))
  assert len(datasets.load(settings.data, H36M, train=False).test) == 4000
  with pytest.raises(SettingError, match='`keypoints=cpn`: choose from gt'):
    released = presets.preset('synthetic', recipe='released', keypoints='cpn')
    datasets.load(released.data, H36M)


def test_views_that_are_cut_are_told_once(tmp_path, caplog):
  poses = write_h36m(tmp_path, 16)
  views = {
    s: {a: [np.full((len(p) + 1, 16, 2), 500.0)] * 4 for a, p in c.items()}
    for s, c in poses.items()
  }
  np.savez(tmp_path / 'data_2d_h36m_sh_ft_h36m.npz', positions_2d=views)
  with caplog.at_level(logging.WARNING):
    datasets.load(presets.preset('h36m_sh', data_dir=str(tmp_path)).data, H36M)
  assert len(caplog.records) == 1
  assert '52 views differ in length' in caplog.text


def test_every_dataset_that_the_settings_name_can_be_loaded():
  """Those with files of poses can also be read; others only with pictures."""
  assert [*datasets.DATASETS] == [*OF_POSES, *OF_PICTURES]
  for name, entry in datasets.DATASETS.items():
    assert (entry.read is not None) == (name in OF_POSES)
    assert DataConfig(dataset=name).has_images == (entry.read is None)


def test_image_aligned_targets_coincide_with_the_input(dataset):
  aligned = image_aligned(dataset.test, H36M)
  assert (aligned.inputs[:, 0] == 0).all()
  for n in (0, 1234):
    xy = dataset.test.targets[n, :, :2]
    scale = sum(
      np.linalg.norm(aligned.inputs[n, p] - aligned.inputs[n, c])
      for p, c in H36M.bones
    ) / sum(np.linalg.norm(xy[p] - xy[c]) for p, c in H36M.bones)
    np.testing.assert_allclose(
      aligned.targets[n], scale * dataset.test.targets[n], rtol=1e-4, atol=1e-6
    )
  # Weak perspective is all that parts them.
  gap = np.linalg.norm(aligned.targets[..., :2] - aligned.inputs, axis=-1)
  size = np.linalg.norm(aligned.inputs, axis=-1)
  assert gap.mean() < 0.06 * size.mean()


def test_canonical_length(dataset):
  expected = np.mean(
    [
      sum(np.linalg.norm(pose[p] - pose[c]) for p, c in H36M.bones)
      for pose in dataset.test.targets[:50]
    ]
  )
  few = dataclasses.replace(dataset.test, targets=dataset.test.targets[:50])
  np.testing.assert_allclose(canonical_length(few, H36M), expected, 1e-6)
