"""Clips of people, from their files to those of their poses."""

import csv
import json

import numpy as np
import pytest
from command_line import fails, run
from detections import write
from filmed import keypoints_of

from semgcn_jax import Lifter
from semgcn_jax.detections.detector_formats import read_people
from semgcn_jax.errors import UserError

SIZE = (1280, 720)


def results(people):
  """COCO's results of people `[T, J, 3]`, in the same frames."""
  return [
    {'image_id': frame, 'keypoints': person[frame].ravel().tolist()}
    for frame in range(len(people[0]))
    for person in people
  ]


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  keypoints = keypoints_of()
  path = tmp_path_factory.mktemp('clip') / 'walk.json'
  return write(path, results([keypoints, keypoints + (250, 0, 0)]))


def predict(clip, output, *flags):
  return run(
    'predict', f'--detections={clip}', '--image_size=1280x720',
    f'--output={output}', '--compilation_cache=', *flags,
  )  # fmt: skip


@pytest.mark.slow
def test_all_formats_hold_the_same(clip, tmp_path):
  for ending in ('json', 'npz', 'csv'):
    code, out, err = predict(clip, tmp_path / f'out.{ending}')
    assert (code, err) == (0, ''), err
    assert '24 poses, of 2 people in 1 clip,' in out
  content = json.loads((tmp_path / 'out.json').read_text())
  assert content['format'] == 'semgcn_jax poses' and content['version'] == 1
  first = np.array(content['people'][0]['poses'])
  assert content['people'][1]['person'] == '2' and first.shape == (12, 16, 3)
  with np.load(tmp_path / 'out.npz', allow_pickle=False) as arrays:
    np.testing.assert_allclose(arrays['poses'][:12], first, atol=1e-4)
    assert arrays['person'].tolist() == ['1'] * 12 + ['2'] * 12
    assert json.loads(str(arrays['header']))['checkpoint'] == 'cmu-video, cmu'
  lines = (tmp_path / 'out.csv').read_text().splitlines()
  rows = list(csv.DictReader(lines[1:]))
  assert len(rows) == 2 * 12 * 16 and lines[0].startswith('# {')
  x = [float(row['x']) for row in rows[:16]]
  np.testing.assert_allclose(x, first[0, :, 0], atol=1e-4)


def test_nothing_is_overwritten(clip, tmp_path):
  output = tmp_path / 'out.json'
  output.write_text('mine')
  fails(
    'predict', f'--detections={clip}', '--image_size=1280x720',
    f'--output={output}', status=2, message='exists; give --overwrite',
  )  # fmt: skip
  assert output.read_text() == 'mine'
  code, _, err = predict(clip, output, '--overwrite', '--smooth=butterworth')
  assert code == 0, err
  assert json.loads(output.read_text())['smooth'] == 'butterworth'


@pytest.mark.parametrize(
  'flags, message',
  [
    (('--image_size=large',), '--image_size=large: give width and height'),
    (('--output=out.txt',), 'must end with .json, .npz, .csv'),
    (('--smooth=much',), '--smooth=much: choose from none'),
    (('--joint_set=spider',), '--joint_set=spider: choose from'),
    (('--smooth=one_euro', '--cutoff=20'), 'below half of --fps'),
    (('--fps=0',), '--fps=0.0: must be from 0.1 to 10,000'),
    (('--fps=inf',), '--fps=inf: must be from 0.1 to 10,000'),
    (('--detections=',), '--detections: is empty'),
    (('--detections=nowhere',), 'nowhere: no such file or folder'),
    (('--checkpoint=nobody',), 'run folder nor bundled weights (cmu,'),
    (('--joint_set=body_25',), '17 joints a person, but --joint_set=body_25'),
    (('--field_of_view=200',), '--field_of_view=200.0: must be from 1 to 179'),
    (('--min_confidence=50',), '--min_confidence=50.0: must be from 0 to 1'),
    (('--height=175',), '--height=175.0: must be from 0.3 to 3 metres'),
    (('--image_size=64x48',), 'far outside its image of 64 x 48'),
  ],
)
def test_bad_flags(clip, tmp_path, flags, message):
  given = [
    f'--detections={clip}', '--image_size=1280x720',
    f'--output={tmp_path / "out.json"}', '--compilation_cache=',
  ]  # fmt: skip
  code, _, err = run('predict', *given, *flags)
  assert code in (1, 2) and len(err.strip().splitlines()) == 1, err
  assert message in err
  assert not (tmp_path / 'out.json').exists()


def test_arrays_of_mediapipe_and_yolo(tmp_path):
  landmarks = keypoints_of(name='mediapipe')
  shares = landmarks / (*SIZE, 1)
  with_depth = np.insert(shares, 2, 0.1, axis=-1)
  np.save(tmp_path / 'pose.npy', np.float32(with_depth))
  np.savez(tmp_path / 'pixels.npz', keypoints=landmarks, image_size=SIZE)
  yolo = np.stack([keypoints_of(), keypoints_of() + (250, 0, 0)], axis=1)
  np.save(tmp_path / 'yolo.npy', np.float32(yolo))
  for name in ('pose.npy', 'pixels.npz', 'yolo.npy'):
    code, out, err = predict(
      tmp_path / name, tmp_path / f'{name}.npz', '--solve=false'
    )
    assert (code, err) == (0, ''), err
  poses = [
    np.load(tmp_path / f'{name}.npz')['poses']
    for name in ('pose.npy', 'pixels.npz', 'yolo.npy')
  ]
  np.testing.assert_allclose(poses[0], poses[1], atol=1e-3)
  assert len(poses[2]) == 24


@pytest.mark.parametrize(
  'array',
  [
    np.zeros(3),
    np.zeros((2, 17, 7)),
    np.array(['a', 'b']),
    np.array([{'a': 1}], object),
  ],
)
def test_wrong_arrays_are_refused(tmp_path, array):
  path = tmp_path / 'a.npy'
  np.save(path, array, allow_pickle=True)
  with pytest.raises(UserError, match='a.npy: '):
    read_people([path])


def test_damaged_arrays_are_refused(tmp_path):
  path = tmp_path / 'a.npz'
  np.savez(path, keypoints=np.zeros((4, 17, 3)))
  content = path.read_bytes()
  for end in (0, 10, len(content) // 2):
    path.write_bytes(content[:end])
    with pytest.raises(UserError, match='a.npz: '):
      read_people([path])


def test_annotations_tell_the_size_and_the_tracks(tmp_path):
  person = keypoints_of(2)
  path = write(
    tmp_path / 'a.json',
    {
      'images': [
        {'id': n, 'file_name': f'{n}.jpg', 'width': 1280, 'height': 720}
        for n in range(2)
      ],
      'annotations': [
        {'image_id': n, 'keypoints': p.ravel().tolist(), 'track_id': 5}
        for n, p in enumerate(person)
      ],
    },
  )
  found = read_people([path])
  frames, size = found.frames, found.image_size
  assert size == SIZE and [*frames] == [0, 1]
  assert frames[0][0].track == 5


def test_the_flag_of_an_annotation_is_no_confidence(tmp_path):
  person = keypoints_of(1)[0] * (1, 1, 0) + (0, 0, 2)
  person[3, 2] = 1
  person[4] = 0
  path = write(
    tmp_path / 'a.json',
    {
      'images': [{'id': 0, 'file_name': '0.jpg'}],
      'annotations': [{'image_id': 0, 'keypoints': person.ravel().tolist()}],
    },
  )
  found = read_people([path])
  frames, size = found.frames, found.image_size
  assert size is None
  assert frames[0][0].keypoints[:, 2].tolist() == [1] * 4 + [0] + [1] * 12


def lifted(tmp_path, name):
  code, out, err = predict(tmp_path / name, tmp_path / 'out.npz', '--overwrite')
  assert (code, err) == (0, ''), err
  return np.load(tmp_path / 'out.npz')['poses'], out


def test_what_detectors_put_at_zero_is_not_found(tmp_path):
  keypoints = keypoints_of()
  keypoints[:, 9] = 0
  np.save(tmp_path / 'gap.npy', keypoints)
  keypoints[:, 9, 2] = 0.3
  np.save(tmp_path / 'zero.npy', keypoints)
  np.testing.assert_array_equal(
    *(lifted(tmp_path, name)[0] for name in ('gap.npy', 'zero.npy'))
  )


def test_messages_name_the_file_and_no_argument_of_the_lifter(tmp_path):
  keypoints = keypoints_of()
  keypoints[3, :, 0] = 9999
  keypoints[4, 4, 0] = 99999
  keypoints[5, 4:, 0] = 9999
  np.save(tmp_path / 'far.npy', keypoints)
  np.save(tmp_path / 'shares.npy', keypoints_of() / (*SIZE, 1))
  for name, message in (
    ('far', 'frame 4 has right_ear at 99999'),
    ('shares', 'be normalized'),
  ):
    code, _, err = run(
      'predict', f'--detections={tmp_path / name}.npy',
      f'--output={tmp_path / "x.json"}', '--image_size=1280x720',
    )  # fmt: skip
    assert code == 1 and f'{name}.npy: frame' in err and message in err, err
    assert '--keypoints' not in err and err.count('\n') == 1


def test_scores_a_little_above_one_are_one(tmp_path):
  for name, score in (('one.npy', 1.0), ('more.npy', 1.3)):
    np.save(tmp_path / name, keypoints_of() * (1, 1, 0) + (0, 0, score))
  np.testing.assert_array_equal(
    *(lifted(tmp_path, name)[0] for name in ('one.npy', 'more.npy'))
  )


def test_one_wild_landmark_does_not_make_shares_pixels(tmp_path):
  shares = keypoints_of(name='mediapipe') / (*SIZE, 1)
  np.save(tmp_path / 'a.npy', shares)
  shares[4, 20, 0] = 1.9
  np.save(tmp_path / 'b.npy', shares)
  a, b = (lifted(tmp_path, name)[0] for name in ('a.npy', 'b.npy'))
  np.testing.assert_allclose(a, b, atol=1e-4)


def test_landmarks_of_the_world_are_refused(tmp_path):
  world = np.random.default_rng(0).normal(0, 0.4, (5, 33, 3))
  np.save(tmp_path / 'z.npy', world)
  world[..., 2] = 0.9
  np.save(tmp_path / 'world.npy', world)
  for name, message in (('z.npy', 'it is z'), ('world.npy', 'not pose_world')):
    fails(
      'predict', f'--detections={tmp_path / name}', '--image_size=1280x720',
      f'--output={tmp_path / "o.json"}', status=1, message=message,
    )  # fmt: skip


def test_a_set_that_does_not_fit_is_refused(tmp_path):
  np.save(tmp_path / 'a.npy', keypoints_of(name='mediapipe'))
  fails(
    'predict', f'--detections={tmp_path / "a.npy"}', '--image_size=1280x720',
    f'--output={tmp_path / "o.json"}', '--joint_set=coco',
    status=1, message='33 joints a person, but --joint_set=coco has 17',
  )  # fmt: skip


def test_folders_of_clips(tmp_path):
  person = keypoints_of(3)
  mmpose = tmp_path / 'mmpose'
  mmpose.mkdir()
  for n, p in enumerate(person):
    content = [
      {
        'keypoints': p[:, :2].tolist(),
        'keypoint_scores': p[:, 2].tolist(),
      }
    ]
    write(mmpose / f'{n}.json', content)
  poses, out = lifted(tmp_path, 'mmpose')
  assert '3 poses, of 1 person in 1 clip,' in out
  (tmp_path / 'clips' / 'one').mkdir(parents=True)
  for n, p in enumerate(person):
    write(
      tmp_path / 'clips' / 'one' / f'{n}.json',
      {'people': [{'pose_keypoints_2d': p.ravel().tolist()}]},
    )
  np.save(tmp_path / 'clips' / 'two.npy', person)
  both, out = lifted(tmp_path, 'clips')
  assert '6 poses, of 2 people in 2 clips' in out
  np.testing.assert_allclose(both, np.concatenate([poses, poses]), atol=1e-4)
  np.save(tmp_path / 'clips' / 'one.npy', person)
  fails(
    'predict', f'--detections={tmp_path / "clips"}', '--image_size=1280x720',
    f'--output={tmp_path / "o.json"}', status=1, message='has the same name',
  )  # fmt: skip


@pytest.mark.parametrize(
  'content',
  [
    '',
    '{',
    'null',
    '[]',
    '{"people": [{}]}',
    '{"people": []}',
    '[{"image_id": 0, "keypoints": [1, 2]}]',
    '[{"image_id": 0, "keypoints": [1, 2, 50]}]',
    '{"images": [{"id": 0, "file_name": "0", "width": [1]}],'
    ' "annotations": []}',
    '[' * 100_000,
  ],
)
def test_every_malformed_file_is_one_line(tmp_path, content):
  (tmp_path / '0.json').write_text(content)
  (tmp_path / '1.json').write_text(content)
  for path in (tmp_path / '0.json', tmp_path):
    code, _, err = run(
      'predict', f'--detections={path}', '--image_size=64x48',
      f'--output={tmp_path / "o.csv"}', '--compilation_cache=',
    )  # fmt: skip
    assert code == 1 and len(err.strip().splitlines()) == 1, err
    assert not (tmp_path / 'o.csv').exists()


@pytest.mark.slow
def test_who_is_followed_for_long_is_lifted_over_time(tmp_path):
  keypoints = keypoints_of(25)
  everybody = results([keypoints, keypoints + (250, 0, 0)])
  # The second person is there in the first 12 frames alone.
  brief = [p for n, p in enumerate(everybody) if n < 24 or n % 2 == 0]
  clip = write(tmp_path / 'walk.json', brief)
  code, out, err = predict(
    clip, tmp_path / 'out.json', '--fps=29.97', '--solve=false'
  )
  assert (code, err) == (0, ''), err
  assert '37 poses, of 2 people in 1 clip, at 29.97 frames per second' in out
  content = json.loads((tmp_path / 'out.json').read_text())
  assert content['checkpoint'] == 'cmu-video, cmu'
  lengths = [len(person['frames']) for person in content['people']]
  assert lengths == [25, 12]
  for person, name in zip(content['people'], ('cmu-video', 'cmu'), strict=True):
    own = np.array(person['keypoints'])
    lifted = Lifter.load(name)(
      keypoints[: len(own)] + (250 * (name == 'cmu'), 0, 0),
      SIZE,
      fps=29.97,
    )
    np.testing.assert_allclose(person['poses'], lifted, atol=1e-4)
  code, _, err = predict(clip, tmp_path / 'one.json', '--checkpoint=cmu')
  assert (code, err) == (0, ''), err
  content = json.loads((tmp_path / 'one.json').read_text())
  assert content['checkpoint'] == 'cmu'
  fails(
    'predict', f'--detections={clip}', f'--output={tmp_path / "o.json"}',
    '--only_seed=1', status=2, message='give --checkpoint',
  )  # fmt: skip


def test_one_of_two_may_stand_on_the_hands(tmp_path):
  keypoints = keypoints_of()
  turned = keypoints * (1, -1, 1) + (300, 700, 0)
  both = np.stack([keypoints, turned], axis=1)
  np.save(tmp_path / 'both.npy', both)
  code, _, err = predict(tmp_path / 'both.npy', tmp_path / 'a.json')
  assert (code, err) == (0, '')
  np.save(tmp_path / 'all.npy', turned)
  code, _, err = predict(tmp_path / 'all.npy', tmp_path / 'b.json')
  assert code == 1 and 'is upside down' in err
  code, _, err = predict(
    tmp_path / 'all.npy', tmp_path / 'b.json', '--check=false'
  )
  assert (code, err) == (0, '')


def test_inputs_are_never_replaced(tmp_path):
  path = tmp_path / 'a.json'
  content = [[{'keypoints': p.tolist()}] for p in keypoints_of()]
  path.write_text(json.dumps(content))
  before = path.read_bytes()
  (tmp_path / 'link.json').symlink_to(path)
  for output in ('a.json', 'link.json'):
    code, _, err = predict(path, tmp_path / output, '--overwrite')
    assert code == 2 and 'would replace what is read' in err
  assert path.read_bytes() == before


def test_poses_are_lifted_again_from_their_keypoints(tmp_path):
  np.save(tmp_path / 'a.npy', keypoints_of(name='h36m'))
  code, _, err = predict(
    tmp_path / 'a.npy', tmp_path / 'b.npz', '--joint_set=h36m', '--solve=false'
  )
  assert (code, err) == (0, '')
  code, _, err = predict(
    tmp_path / 'b.npz', tmp_path / 'c.npz', '--solve=false'
  )
  assert (code, err) == (0, '')
  first, again = (np.load(tmp_path / f'{n}.npz')['poses'] for n in 'bc')
  np.testing.assert_allclose(again, first, atol=1e-3)


def test_an_order_is_doubted_before_the_direction_of_y(tmp_path):
  # Read as COCO's, Human3.6M's joints seem to be upside down.
  path = tmp_path / 'a.npy'
  np.save(path, keypoints_of(name='h36m_17')[..., :2])
  for flags in ((), ('--joint_set=h36m_17',)):
    output = tmp_path / f'{len(flags)}.npz'
    code, _, err = predict(path, output, *flags)
    assert code == 0 and ('those of h36m_17' in err) == (not flags), err
  read, named = (np.load(tmp_path / f'{n}.npz')['poses'] for n in range(2))
  np.testing.assert_array_equal(read, named)
