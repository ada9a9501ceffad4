"""Scoring on real clips, on clips of our own in their layout."""

import json

import numpy as np
import pytest
from command_line import fails, run
from filmed import film_level, standing

from semgcn_jax import Lifter
from semgcn_jax.evaluation.real import format_real, read_real, score_real
from semgcn_jax.geometry.skeletons import H36M

SIZE = (1280, 720)
LIMBS = [
  i
  for i, name in enumerate(H36M.joints)
  if name not in ('Pelvis', 'Spine', 'Thorax', 'Head')
]


def arrays_of(count=40, fps=60.0):
  filmed = film_level(standing(count), SIZE)
  truth = filmed.poses.astype('f')
  keypoints = filmed.keypoints('coco')
  world = np.zeros((count, 33, 3), 'f')
  # MediaPipe's hips, shoulders, elbows, wrists, knees and ankles.
  for joint, index in (
    *(('LHip', 23), ('RHip', 24), ('LShoulder', 11), ('RShoulder', 12)),
    *(('LElbow', 13), ('RElbow', 14), ('LWrist', 15), ('RWrist', 16)),
    *(('LKnee', 25), ('RKnee', 26), ('LAnkle', 27), ('RAnkle', 28)),
  ):
    world[:, index] = 1.1 * truth[:, H36M.joints.index(joint)] + 5
  on = np.ones(count, bool)
  on[3:5] = False
  return {
    'kp_movenet': keypoints,
    'joints_movenet': 'coco',
    'truth_movenet': truth,
    'on_movenet': on,
    'kp_mediapipe': filmed.keypoints('mediapipe'),
    'joints_mediapipe': 'mediapipe',
    'truth_mediapipe': truth,
    'mp_world': world,
    'image_size': np.array(SIZE),
    'fps': fps,
    'K': np.array([[1000.0, 0, 640], [0, 1100, 360], [0, 0, 1]]),
  }


@pytest.fixture
def folder(tmp_path):
  np.savez(tmp_path / 'a_walk.npz', **arrays_of())
  return tmp_path


def rooted(pose):
  middle = (
    pose[H36M.joints.index('LHip')] + pose[H36M.joints.index('RHip')]
  ) / 2
  return [pose[joint] - middle for joint in LIMBS]


def test_scores_by_loops(folder):
  lifter, clips = Lifter.load('cmu-video'), read_real(folder)
  assert [(c.clip, c.detector) for c in clips] == [
    ('a_walk', 'movenet'),
    ('a_walk', 'mediapipe'),
  ]
  result = score_real(lifter, clips)
  row, arrays = result['clips'][0], arrays_of()
  lifted = lifter.lift(arrays['kp_movenet'], SIZE, 'coco', fps=60, check=False)
  errors = []
  for pose, truth in zip(lifted.poses, arrays['truth_movenet'], strict=True):
    pairs = zip(rooted(pose), rooted(truth), strict=True)
    errors.append([1000 * (a - b) for a, b in pairs])
  errors = np.array(errors)
  on = arrays['on_movenet']
  assert row['num_poses'] == on.sum() == 38
  distance = np.linalg.norm(errors[on], axis=-1)
  assert row['mpjpe'] == pytest.approx(distance.mean(), rel=1e-4)
  assert row['z'] == pytest.approx(np.abs(errors[on][..., 2]).mean(), rel=1e-4)
  wrist = LIMBS.index(H36M.joints.index('LWrist'))
  assert row['joints']['LWrist'] == pytest.approx(
    distance[:, wrist].mean(), rel=1e-4
  )
  # At 60 frames a second, every second frame is 30 a second.
  changes = [
    np.linalg.norm(errors[t] - 2 * errors[t - 2] + errors[t - 4], axis=-1)
    for t in range(4, 40)
    if on[t] and on[t - 2] and on[t - 4]
  ]
  assert row['acceleration_error'] == pytest.approx(np.mean(changes), rel=1e-3)
  expected = 1000 * lifted.errors[on][:, LIMBS].mean()
  assert row['expected'] == pytest.approx(expected, rel=1e-4)
  assert row['off'] == pytest.approx(2 / 40)
  both = [r['mpjpe'] for r in result['clips']]
  assert result['mean']['mpjpe'] == pytest.approx(np.mean(both))


@pytest.mark.parametrize('fps', [24.0, 30.0, 60.0, 100.0])
def test_accelerations_do_not_depend_on_the_rate(fps, tmp_path):
  count = 40
  arrays = arrays_of(count)
  # An error that accelerates by 1 m/s^2 in all joints but the hips.
  seconds = np.arange(count) / fps
  world = np.zeros((count, 33, 3))
  world[:, :23, 0] = world[:, 25:, 0] = (seconds**2 / 2)[:, None]
  arrays |= {'mp_world': world, 'fps': fps}
  arrays['truth_mediapipe'] = np.zeros((count, 16, 3))
  np.savez(tmp_path / 'c.npz', **arrays)
  result = score_real(Lifter.load('cmu'), read_real(tmp_path))
  error = result['clips'][1]['world']['acceleration_error']
  # Ten of the twelve joints are no hips.
  assert error == pytest.approx(1000 / 30**2 * 10 / 12, rel=1e-3)


def test_scores_of_what_is_known(folder):
  """A body 10% too large, elsewhere, is right after the best scale."""
  world = score_real(Lifter.load('cmu'), read_real(folder))['clips'][1]['world']
  assert world['mpjpe'] > 20
  assert world['n_mpjpe'] == pytest.approx(0, abs=0.01)
  assert world['p_mpjpe'] == pytest.approx(0, abs=0.01)


def test_the_command(folder, tmp_path):
  output = tmp_path / 'scores.json'
  code, out, err = run(
    'evaluate', '--checkpoint=cmu', f'--real={folder}', f'--output={output}'
  )
  assert (code, err) == (0, '')
  assert "MediaPipe's own 3D" in out
  assert 'left out, as not on the person: a_walk movenet (5%)' in out
  result = json.loads(output.read_text())
  assert out.strip() == format_real(result).strip()
  code, known, err = run(
    'evaluate', '--checkpoint=cmu', f'--real={folder}', '--use_focal'
  )
  assert (code, err) == (0, '')
  assert known != out


def test_scores_of_solved_clips(tmp_path):
  arrays = arrays_of() | {'pitch': 10.0, 'roll': -2.0}
  # A pelvis that accelerates by 3 m/s^2.
  seconds = np.arange(len(arrays['truth_movenet'])) / 60
  arrays['truth_movenet'] += 1.5 * seconds[:, None, None] ** 2 * [1.0, 0, 0]
  np.savez(tmp_path / 'c.npz', **arrays)
  clips = read_real(tmp_path)[:1]
  result = score_real(Lifter.load('cmu'), clips, solve=True)
  scores = result['clips'][0]['solved']
  changes = np.zeros((40, 3))  # The pelvis of `arrays_of` may move, too.
  for t in range(1, 39):
    before, here, after = arrays['truth_movenet'][t - 1 : t + 2, H36M.root]
    changes[t] = before - 2 * here + after
  expected = 4000 * np.linalg.norm(changes[1:39], axis=-1).mean()
  assert scores['true_path'] == pytest.approx(expected, rel=1e-3)
  assert (scores['true_pitch'], scores['true_roll']) == (10, -2)
  assert 0 < scores['path'] < 100 and 0 < scores['bones'] < 1
  assert 'true path' in format_real(result)


@pytest.mark.parametrize(
  ('change', 'told'),
  [
    ({'truth_movenet': None, 'truth_mediapipe': None}, 'has no keypoints with'),
    ({'fps': None}, 'KeyError'),
    ({'joints_movenet': 'coco_18'}, "KeyError: 'coco_18'"),
    ({'kp_movenet': np.zeros((40, 16, 3))}, 'kp_movenet has the shape'),
    ({'on_movenet': np.zeros(40, bool)}, 'no frame of movenet can be scored'),
    ({'truth_movenet': np.full((40, 16, 3), np.nan)}, 'can be scored'),
    ({'kp_movenet': np.full((40, 17, 3), 5.0)}, 'kp_movenet has confidences'),
    ({'image_size': np.zeros(2)}, 'b.npz: does not hold'),
    ({'K': np.zeros((3, 3))}, 'K has the focal length 0'),
    ({'fps': -1.0}, 'fps is -1.0; it must be from 0.1 to'),
  ],
)
def test_wrong_files(tmp_path, change, told):
  arrays = {k: v for k, v in (arrays_of() | change).items() if v is not None}
  np.savez(tmp_path / 'b.npz', **arrays)
  fails(
    'evaluate', '--checkpoint=cmu', f'--real={tmp_path}', status=1, message=told
  )


def test_wrong_flags(folder, tmp_path):
  args = 'evaluate', '--checkpoint=cmu', f'--real={folder}'
  fails(
    *args,
    f'--wild={folder}/a_walk.npz',
    status=2,
    message='give either --wild or --real',
  )
  fails(*args, '--actions=Walk', status=2, message='has no meaning with')
  fails(
    *('evaluate', '--checkpoint=cmu', f'--real={tmp_path}/nothing'),
    status=1,
    message='is no folder of npz files',
  )


@pytest.mark.slow
def test_solved_clips_are_scored(folder):
  code, out, err = run(
    'evaluate', '--checkpoint=cmu-video', f'--real={folder}', '--solve',
    '--use_focal',
  )  # fmt: skip
  assert (code, err) == (0, '')
  assert 'bones' in out and 'pitch' in out
