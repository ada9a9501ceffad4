"""A skeleton of one's own: from its file to lifted keypoints and a page."""

import json
import pickle

import numpy as np
import pytest
import quadruped
from command_line import fails, run

from semgcn_jax import Lifter
from semgcn_jax.detections.joint_names import _recognize_exactly
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.skeletons import JointSet

TINY = (
  *('--recipe=wild', '--dataset=animal', '--hid_dim=8', '--num_layers=1'),
  *('--train_subjects=Rex', '--test_subjects=Ida', '--batch_size=60'),
  *('--epochs=2', '--warmup_epochs=0.1', '--norm_poses=0'),
)
SIZE = 1280, 720


def train(folder, name, *more):
  code, out, err = run(
    *('train', *TINY, f'--data_dir={folder}', f'--workdir={folder / name}'),
    *(f'--skeleton={folder}/quadruped.json', *more),
    f'--cameras={folder}/cameras.json',
  )
  assert (code, err) == (0, '')
  return folder / name, out


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp('animals')
  quadruped.skeleton(path)
  quadruped.write_data(path)
  return path


@pytest.fixture(scope='module')
def trained(folder):
  return train(folder, 'run')[0]


def test_its_joint_sets_are_lifted(trained):
  lifter = Lifter.load(trained)
  assert lifter.joint_sets == ('own', 'detector')
  assert lifter.skeleton.unit == 0.5 and lifter.skeleton.stands
  found = quadruped.keypoints(5, quadruped.MARKED)
  lifted = lifter.lift(found, SIZE)  # The detector's joints are the default.
  assert lifted.poses.shape == (5, 15, 3) and lifted.errors.shape == (5, 15)
  assert np.isfinite(lifted.poses).all() and not lifted.poses[:, 0].any()
  reach = np.linalg.norm(lifted.poses, axis=-1).max(axis=-1)
  assert (reach > 0.02).all() and (reach < 2).all()
  same = lifter.lift(found, SIZE, 'detector')
  np.testing.assert_array_equal(same.poses, lifted.poses)
  # Where one ear is missing, the other tells where the head is.
  gone = found.copy()
  gone[:, 0] = np.nan
  assert np.isfinite(lifter(gone, SIZE)).all()
  again = pickle.loads(pickle.dumps(lifter))
  assert again == lifter
  np.testing.assert_array_equal(again(found, SIZE), lifted.poses)
  assert lifted.clip().skeleton == lifter.skeleton
  assert 'left_paw' in lifted._repr_html_()


def test_what_only_people_have_is_refused(trained, tmp_path):
  lifter = Lifter.load(trained)
  found = quadruped.keypoints(3)
  with pytest.raises(SettingError, match='`height`: is for the skeleton h36m'):
    lifter.lift(found, SIZE, 'own', height=1.7)
  with pytest.raises(SettingError, match='`joints=coco`: choose from own, det'):
    lifter.lift(found, SIZE, 'coco')
  np.save(tmp_path / 'found.npy', found)
  flags = ('predict', f'--checkpoint={trained}')
  source = f'--detections={tmp_path}/found.npy --image_size=1280x720'.split()
  out = f'--output={tmp_path}/out'
  for more, message in (
    ((f'{out}.html', f'--video={__file__}'), '--video: is for people'),
    ((f'{out}.html', *source, '--height=1'), '--height: is for people'),
    ((f'{out}.html', *source, '--joint_set=coco'), 'choose from own, detector'),
    ((f'{out}.bvh', *source), 'out.bvh: needs the skeleton h36m'),
    ((f'{out}/', *source, '--formats=glb'), 'out.glb: needs the skeleton'),
    ((f'{out}.html', *source, '--solve_without=rest'), 'is for people'),
    ((f'{out}.trc', *source), 'needs the skeleton h36m'),
  ):
    code, _, err = run(*flags, *more)
    assert code and message in err and err.count('\n') == 1
  assert not list(tmp_path.glob('out*'))
  fails(
    *('evaluate', f'--checkpoint={trained}', '--wild=a.npz'),
    status=2,
    message='--wild: is for the skeleton h36m',
  )
  fails(
    *('demo', f'--checkpoint={trained}', f'{out}.html'),
    status=1,
    message='has another skeleton',
  )


def test_from_pixels_to_files_and_back(trained, tmp_path):
  found = quadruped.keypoints(6)
  np.save(tmp_path / 'found.npy', found)
  outputs = [
    tmp_path / f'out.{ending}' for ending in ('html', 'json', 'npz', 'csv')
  ]
  flags = 'predict', f'--checkpoint={trained}', '--image_size=1280x720'
  code, out, err = run(
    *(*flags, f'--detections={tmp_path}/found.npy', '--joint_set=own'),
    f'--output={",".join(map(str, outputs))}',
  )
  assert (code, err) == (0, '') and '6 poses, of 1 person' in out
  page, text, arrays, table = outputs
  assert '"left_paw"' in page.read_text()
  poses = Lifter.load(trained)(found, SIZE, 'own')
  header = json.loads(text.read_text())
  assert header['joints'] == list(quadruped.JOINTS)
  assert header['axes'].endswith('the hip is the origin')
  np.testing.assert_allclose(header['people'][0]['poses'], poses, atol=1e-6)
  np.testing.assert_allclose(np.load(arrays)['poses'], poses, atol=1e-6)
  assert table.read_text().count('left_paw') == 6 + 1
  # The files are read again, to be shown and to be lifted.
  code, _, err = run(
    'view', f'--poses={text}', f'--output={tmp_path}/again.html'
  )
  assert (code, err) == (0, '')
  assert '"left": [5, 6, 7, 8, 9]' in (tmp_path / 'again.html').read_text()
  code, _, err = run(
    *flags[:2],
    *(f'--detections={arrays}', f'--output={tmp_path}/b.npz'),
  )
  assert (code, err) == (0, '')
  np.testing.assert_allclose(
    np.load(tmp_path / 'b.npz')['poses'], poses, atol=1e-4
  )
  fails(
    *('predict', f'--detections={arrays}', f'--output={tmp_path}/c.html'),
    status=1,
    message='has other joints than the network lifts',
  )


def test_names_in_a_file_tell_its_joints(trained, tmp_path):
  """DeepLabCut's columns, in another order, with other separators."""
  names = quadruped.MARKED[::-1]
  found = quadruped.keypoints(4, names)
  shown = [name.replace('_', ' ').title() for name in names]
  rows = [
    ['scorer', *['me'] * (3 * len(names))],
    ['bodyparts', *(name for name in shown for _ in range(3))],
    ['coords', *['x', 'y', 'likelihood'] * len(names)],
  ]
  for number, pose in enumerate(found):
    rows.append([number, *np.insert(pose, 2, 0.9, axis=1).ravel()])
  path = tmp_path / 'dlc.csv'
  path.write_text('\n'.join(','.join(map(str, row)) for row in rows))
  code, _, err = run(
    *('predict', f'--checkpoint={trained}', f'--detections={path}'),
    *('--image_size=1280x720', f'--output={tmp_path}/out.npz'),
  )
  assert (code, err) == (0, '')
  ordered = quadruped.keypoints(4, quadruped.MARKED)
  sure = np.insert(ordered, 2, 0.9, axis=-1)
  expected = Lifter.load(trained)(sure, SIZE, 'detector')
  poses = np.load(tmp_path / 'out.npz')['poses']
  np.testing.assert_allclose(poses, expected, atol=1e-5)


@pytest.mark.slow
def test_the_exported_network_lifts_alike(trained, tmp_path):
  onnxruntime = pytest.importorskip(
    'onnxruntime', reason='needs the extra onnx'
  )
  path = tmp_path / 'animal.onnx'
  code, out, err = run('export', f'--checkpoint={trained}', f'--output={path}')
  assert (code, err) == (0, ''), out
  found = np.insert(quadruped.keypoints(5, quadruped.MARKED), 2, 1, axis=-1)
  size = np.tile(np.float32(SIZE), (5, 1))
  poses, errors = onnxruntime.InferenceSession(str(path)).run(
    ['poses', 'errors'],
    {
      'keypoints': found.astype(np.float32),
      'image_size': size,
      'focal_length': np.zeros(5, np.float32),
      'center': size / 2,
    },
  )
  lifted = Lifter.load(trained).lift(found, SIZE)
  np.testing.assert_allclose(poses, lifted.poses, atol=1e-5)
  np.testing.assert_allclose(errors, lifted.errors, atol=1e-5)


@pytest.mark.slow
def test_a_larger_skeleton_is_learned_alike(trained, folder, tmp_path):
  quadruped.skeleton(tmp_path)
  quadruped.write_data(tmp_path, scale=10.0)
  workdir, _ = train(tmp_path, 'run')
  small, large = (
    json.loads((path / 'metrics.jsonl').read_text().splitlines()[-1])
    for path in (trained, workdir)
  )
  assert Lifter.load(workdir).skeleton.unit == 5.0
  assert large['mpjpe'] == pytest.approx(10 * small['mpjpe'], rel=1e-2)
  assert large['train_loss'] == pytest.approx(small['train_loss'], rel=1e-3)
  code, _, err = run(
    *('train', *TINY, f'--data_dir={tmp_path}', f'--workdir={workdir}'),
    *(f'--skeleton={tmp_path}/quadruped.json', '--resume'),
    f'--cameras={tmp_path}/cameras.json',
  )
  assert (code, err) == (0, '')


@pytest.mark.slow
@pytest.mark.parametrize('causal', [False, True])
def test_a_network_that_sees_time(folder, causal):
  workdir, _ = train(
    *(folder, f'clips-{causal}', '--model=semgcn_temporal', '--fps=10'),
    *('--receptive_field=9', '--window=16', '--batch_size=64'),
    *(['--causal'] if causal else []),
  )
  lifter = Lifter.load(workdir)
  found = quadruped.keypoints(20)
  clip = lifter.lift(found, SIZE, 'own', fps=30)
  assert clip.poses.shape == (20, 15, 3) and np.isfinite(clip.poses).all()
  mirrored = found * (-1, 1) + (SIZE[0], 0)
  order = lifter.skeleton.mirror_order
  other = lifter.lift(mirrored[:, order], SIZE, 'own', fps=30)
  np.testing.assert_allclose(
    other.poses[:, order] * (-1, 1, 1), clip.poses, atol=1e-4
  )
  if causal:
    stream = lifter.stream(SIZE, 'own', fps=30)
    poses = np.stack([stream(frame).poses for frame in found])
    np.testing.assert_allclose(poses, clip.poses, atol=1e-4)


@pytest.mark.parametrize(
  'flag, message',
  [
    ('--input_joints=own,dog', '--input_joints=dog: choose from own, detector'),
    pytest.param('--flip_test=false', '', marks=pytest.mark.slow),
  ],
)
def test_settings(folder, flag, message, tmp_path):
  code, _, err = run(
    *('train', *TINY, f'--data_dir={folder}', f'--workdir={tmp_path / "x"}'),
    *(f'--skeleton={folder}/quadruped.json', flag, '--epochs=1'),
    f'--cameras={folder}/cameras.json',
  )
  assert message in err if message else (code, err) == (0, '')


def test_a_set_with_too_few_joints_is_refused(folder, tmp_path):
  file = quadruped.FILE | {
    'joint_sets': {'three': {'names': ['hip', 'back', 'neck']}}
  }
  path = tmp_path / 'short.json'
  path.write_text(json.dumps(file))
  fails(
    *('train', *TINY, f'--data_dir={folder}', f'--skeleton={path}'),
    *(f'--workdir={tmp_path}/run', f'--cameras={folder}/cameras.json'),
    status=2,
    message='--input_joints=three: gives 3 joints of the skeleton; 4 are',
  )


@pytest.mark.slow
def test_only_what_a_network_lifts_is_guessed(folder, tmp_path):
  workdir, _ = train(folder, 'exact', '--input_joints=own', '--epochs=1')
  lifter = Lifter.load(workdir)
  found = quadruped.keypoints(3)
  assert lifter.joint_sets == ('own',)
  np.testing.assert_array_equal(lifter(found, SIZE), lifter(found, SIZE, 'own'))
  np.save(tmp_path / 'found.npy', found)
  code, _, err = run(
    *('predict', f'--checkpoint={workdir}', '--image_size=1280x720'),
    *(f'--detections={tmp_path}/found.npy', f'--output={tmp_path}/out.html'),
  )
  assert (code, err) == (0, '')


@pytest.mark.slow
def test_a_unit_is_of_filmed_networks_only(folder):
  """A file may have one, such as that of a run; other networks learn metres."""
  path = folder / 'units.json'
  path.write_text(json.dumps(quadruped.FILE | {'unit': 0.05}))
  scores = []
  for name, skeleton in (('plain', 'quadruped'), ('unit', 'units')):
    settings = {'recipe': 'released', 'skeleton': f'{folder}/{skeleton}.json'}
    code, _, err = run(
      *('train', *TINY, f'--data_dir={folder}', f'--workdir={folder / name}'),
      *(f'--{key}={value}' for key, value in settings.items()),
      f'--cameras={folder}/cameras.json',
    )
    assert (code, err) == (0, '')
    lines = (folder / name / 'metrics.jsonl').read_text().splitlines()
    scores.append(json.loads(lines[-1])['mpjpe'])
  assert scores[0] == scores[1]


@pytest.mark.slow
def test_another_size_goes_on_from_a_run(trained, tmp_path):
  quadruped.skeleton(tmp_path)
  quadruped.write_data(tmp_path, scale=2.5)
  workdir, _ = train(tmp_path, 'run', f'--init_from={trained}')
  assert (
    Lifter.load(workdir).skeleton.unit == Lifter.load(trained).skeleton.unit
  )


def test_poses_of_two_skeletons_are_not_shown_at_once(trained, tmp_path):
  for count in (1, 2):
    np.save(tmp_path / f'{count}.npy', quadruped.keypoints(count))
    code, _, err = run(
      *('predict', f'--checkpoint={trained}', '--image_size=1280x720'),
      *(
        f'--detections={tmp_path}/{count}.npy',
        f'--output={tmp_path}/{count}.json',
      ),
    )
    assert (code, err) == (0, '')
  text = (tmp_path / '2.json').read_text()
  (tmp_path / '2.json').write_text(text.replace('left_paw', 'left_claw'))
  files = f'--poses={tmp_path}/1.json,{tmp_path}/2.json'
  fails(
    *('view', files, f'--output={tmp_path}/both.html'),
    status=1,
    message='1, 2: have different skeletons; show one at a time',
  )


def test_names_of_any_script_are_told_apart():
  names = ('头', '颈', '腰', '尾', 'Ärmel', 'ARM EL')
  [(name, order)] = [
    _recognize_exactly(
      ['腰', '头', 'arm_el', '颈', 'ärmel', '尾'],
      [JointSet('a', names, (), ()), JointSet('b', names[:4], (), ())],
    )
  ]
  assert (name, order) == ('a', [1, 3, 0, 5, 4, 2])
