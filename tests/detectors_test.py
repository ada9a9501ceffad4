import json

import numpy as np
import pytest

from semgcn_jax import prepare as prepare_lib
from semgcn_jax.data.npz import read_poses_2d
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.prepare import Options, detectors
from semgcn_jax.skeleton import H36M, JOINT_SETS

# By hand: where each of our joints is in COCO's 17.
COCO = {
  'Pelvis': (11, 12),
  'RHip': (12,),
  'RKnee': (14,),
  'RAnkle': (16,),
  'LHip': (11,),
  'LKnee': (13,),
  'LAnkle': (15,),
  'Spine': (5, 6, 11, 12),
  'Thorax': (5, 6),
  'Head': (1, 2, 3, 4),
  'LShoulder': (5,),
  'LElbow': (7,),
  'LWrist': (9,),
  'RShoulder': (6,),
  'RElbow': (8,),
  'RWrist': (10,),
}


def people(frames, joints, seed=0):
  """`[frames, joints, 3]`, x, y, confidence."""
  rng = np.random.default_rng(seed)
  points = rng.uniform(100, 900, (frames, joints, 2))
  return np.concatenate(
    [points, rng.uniform(0.5, 1, (frames, joints, 1))], axis=-1
  )


def coco(person):
  """What of 17 joints is expected of the 16."""
  return np.stack(
    [person[:, list(source)].mean(axis=1) for source in COCO.values()], axis=1
  )


def as_coco(person, first=0):
  return [
    {'image_id': i + first, 'category_id': 1, 'keypoints': p.ravel().tolist()}
    for i, p in enumerate(person)
  ]


def as_annotations(person):
  ids = [100 - i for i in range(len(person))]  # In any order.
  return {
    'images': [{'id': n, 'file_name': f'{i}.jpg'} for i, n in enumerate(ids)],
    'annotations': [
      {'image_id': n, 'keypoints': p.ravel().tolist()}
      for n, p in zip(ids, person, strict=True)
    ],
  }


def as_alphapose(person):
  return [
    {
      'image_id': f'{i}.jpg',
      'category_id': 1,
      'keypoints': p.ravel().tolist(),
      'score': 2.9,
      'box': [0, 0, 9, 9],
      'idx': 1,
    }
    for i, p in enumerate(person)
  ]


def as_mmpose(person):
  return {
    'meta_info': {'dataset_name': 'coco'},
    'instance_info': [
      {
        'frame_id': i + 1,
        'instances': [
          {
            'keypoints': p[:, :2].tolist(),
            'keypoint_scores': p[:, 2].tolist(),
            'bbox': [[0, 0, 9, 9]],
            'bbox_score': 0.9,
          }
        ],
      }
      for i, p in enumerate(person)
    ],
  }


def openpose(person):
  return {
    'version': 1.3,
    'people': [
      {'person_id': [-1], 'pose_keypoints_2d': p.ravel().tolist()}
      for p in person
    ],
  }


def write(path, content):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(content))
  return path


def as_mmpose_inferencer(person):
  frames = as_mmpose(person)['instance_info']
  return [{**frame, 'frame_id': i} for i, frame in enumerate(frames)]


def as_alphapose_open(person):
  return {f'{i}.jpg': openpose(p[None]) for i, p in enumerate(person)}


def as_alphapose_cmu(person):
  return {
    f'{i}.jpg': {'version': 0.1, 'bodies': [{'joints': p.ravel().tolist()}]}
    for i, p in enumerate(person)
  }


FORMS = [
  *(as_coco, as_annotations, as_alphapose, as_mmpose),
  *(as_mmpose_inferencer, as_alphapose_open, as_alphapose_cmu),
]


@pytest.mark.parametrize('form', FORMS)
def test_every_form_of_one_file(tmp_path, form):
  person = people(12, 17)
  path = write(tmp_path / 'a.json', form(person))
  view = detectors.read_view([path])
  assert view.dtype == np.float32
  np.testing.assert_allclose(view, coco(person), rtol=1e-5)


def test_a_file_per_frame(tmp_path):
  person = people(12, 25)
  files = [
    write(tmp_path / f'walk2_{i:012d}_keypoints.json', openpose(p[None]))
    for i, p in enumerate(person)
  ]
  view = detectors.read_view(files)
  np.testing.assert_allclose(view[:, 0], person[:, 8], rtol=1e-5)
  np.testing.assert_allclose(view[:, 8], person[:, 1], rtol=1e-5)
  np.testing.assert_allclose(view[:, 15], person[:, 4], rtol=1e-5)
  spine = (person[:, 8] + person[:, 1]) / 2
  np.testing.assert_allclose(view[:, 7], spine, rtol=1e-5)
  frames = as_mmpose(people(5, 17))['instance_info']
  files = [
    write(tmp_path / f'{i}.json', frame['instances'])
    for i, frame in enumerate(frames)
  ]
  view = detectors.read_view(files)
  np.testing.assert_allclose(view, coco(people(5, 17)), rtol=1e-5)


def test_the_surest_person_is_taken(tmp_path):
  person = people(3, 25)
  other = people(3, 25, seed=1) * (1, 1, 0.1)
  for i in range(3):
    both = np.stack([other[i], person[i]])
    write(tmp_path / f'{i}.json', openpose(both))
  view = detectors.read_view(sorted(tmp_path.iterdir()))
  np.testing.assert_allclose(view[:, 0], person[:, 8], rtol=1e-5)


def test_missing_joints_and_frames_are_interpolated(tmp_path):
  person = people(9, 25)
  person[4:6, 4] = 0  # OpenPose's sign of a wrist that it does not see.
  person[0, 4] = 0
  person[2, 15:17] = 0  # An eye and an ear are enough for the head.
  entries = [openpose(p[None]) for p in person]
  entries[7] = openpose(person[:0])
  for i, entry in enumerate(entries):
    write(tmp_path / f'{i}.json', entry)
  view = detectors.read_view(sorted(tmp_path.iterdir()))
  wrist = person[:, 4]
  third = (wrist[6, :2] - wrist[3, :2]) / 3
  np.testing.assert_allclose(view[4, 15, :2], wrist[3, :2] + third, rtol=1e-5)
  np.testing.assert_allclose(view[0, 15, :2], wrist[1, :2], rtol=1e-5)
  assert view[4, 15, 2] == view[0, 15, 2] == 0
  middle = (person[6, 8, :2] + person[8, 8, :2]) / 2
  np.testing.assert_allclose(view[7, 0, :2], middle, rtol=1e-5)
  assert (view[7, :, 2] == 0).all()
  head = person[2, 17:19].mean(axis=0)
  np.testing.assert_allclose(view[2, 9, :2], head[:2], rtol=1e-5)
  np.testing.assert_allclose(view[2, 9, 2], head[2] / 2, rtol=1e-5)


@pytest.mark.parametrize('first', [0, 1])
def test_frames_count_from_0_or_1(tmp_path, first):
  person = people(30, 17)
  person = person[[i for i in range(30) if i not in (3, 4, 29)]]
  kept = [i for i in range(29) if i not in (3, 4)]
  entries = as_coco(person)
  for entry, frame in zip(entries, kept, strict=False):
    entry['image_id'] = frame + first
  view = detectors.read_view([write(tmp_path / 'a.json', entries)])
  assert len(view) == 29
  np.testing.assert_allclose(view[5], coco(person)[3], rtol=1e-5)


def test_frames_without_a_person_count(tmp_path):
  """Also at the start and the end, where a form names them."""
  person = people(10, 25)
  files = []
  for i in range(10):
    entry = openpose(person[i][None] if 2 <= i < 8 else person[:0])
    files.append(write(tmp_path / f'v_{i:012d}_keypoints.json', entry))
  view = detectors.read_view(files)
  assert len(view) == 10
  np.testing.assert_allclose(view[2:8, 0], person[2:8, 8], rtol=1e-5)
  np.testing.assert_array_equal(view[1, 0, :2], view[2, 0, :2])
  for first in (0, 1):
    frames = as_mmpose(people(6, 17))['instance_info']
    frames = [{**f, 'frame_id': i + first} for i, f in enumerate(frames)]
    frames[0]['instances'] = frames[5]['instances'] = []
    view = detectors.read_view([write(tmp_path / 'a.json', frames)])
    assert len(view) == 6
    np.testing.assert_allclose(view[1], coco(people(6, 17))[1], rtol=1e-5)
  annotations = as_annotations(people(6, 17))
  del annotations['annotations'][0]
  annotations['annotations'].append({'image_id': 100, 'iscrowd': 1})
  view = detectors.read_view([write(tmp_path / 'a.json', annotations)])
  assert len(view) == 6
  # AlphaPose says nothing of frame 0, but counts from it.
  view = detectors.read_view(
    [write(tmp_path / 'a.json', as_alphapose(people(6, 17))[1:])]
  )
  assert len(view) == 6


def test_names_of_other_datasets_stay(tmp_path):
  write(tmp_path / 's' / 'S5' / 'Walk 05_01.0.json', as_coco(people(4, 17)))
  options = Options(dataset='cmu', keypoints='coco')
  [file] = prepare_lib.prepare(tmp_path / 's', tmp_path / 'data', options)
  assert [*read_poses_2d(file)['S5']] == ['Walk 05_01']


def test_other_files_are_no_views(tmp_path):
  write(tmp_path / 'v' / 'cmu_v1.0' / 'package.json', {})
  with pytest.raises(SettingError, match='holds nothing that is known'):
    prepare_lib.prepare(tmp_path / 'v' / 'cmu_v1.0', tmp_path, Options())


def test_prepare_writes_every_view(tmp_path, capsys):
  source = tmp_path / 'source'
  views = {}
  for action in ('Walking 1', 'TakingPhoto'):
    for camera, serial in enumerate((54138969, 55011271)):
      person = people(6 + camera, 17, seed=camera)
      if camera:
        write(source / 'S1' / f'{action}.{serial}.json', as_coco(person))
      else:
        folder = source / 'S1' / f'{action}.{serial}'
        write(folder / 'alphapose-results.json', as_alphapose(person))
      views[action.replace('Taking', ''), camera] = person
  [file] = prepare_lib.prepare(
    source, tmp_path / 'data', Options(keypoints='hrnet')
  )
  assert file.name == 'data_2d_h36m_hrnet.npz'
  assert 'S1                2         12        2\n' in capsys.readouterr().out
  with np.load(file, allow_pickle=True) as archive:
    poses = archive['positions_2d'].item()
  for (action, camera), person in views.items():
    np.testing.assert_allclose(
      poses['S1'][action][camera], coco(person), rtol=1e-5
    )
  with pytest.raises(
    SettingError, match='--keypoints=, .* were found, such as'
  ):
    prepare_lib.prepare(source, tmp_path / 'data', Options())
  with pytest.raises(SettingError, match='--joint_set=lego: choose from'):
    options = Options(keypoints='a', joint_set='lego')
    prepare_lib.prepare(source, tmp_path / 'data', options)


def test_bad_detections(tmp_path):
  path = tmp_path / 'S1' / 'Walk.0.json'

  def fails(content, match, joint_set=''):
    write(path, content)
    with pytest.raises(UserError, match=match) as caught:
      detectors.read_view([path], joint_set)
    assert 'Walk.0.json' in str(caught.value)

  good = as_coco(people(4, 17))
  fails({'hello': 1}, 'not keypoints of COCO')
  fails([], 'no person in any frame')
  fails([{**good[0], 'keypoints': [1, 2]}], 'not keypoints of COCO')
  fails([{**good[0], 'keypoints': ['a'] * 51}], 'not keypoints of COCO')
  fails([{**good[0], 'keypoints': [float('nan')] * 51}], 'not a number')
  fails([{**good[0], 'image_id': 'cat.jpg'}], 'frame cat.jpg has no number')
  fails(
    [{**p, 'image_id': 10**9 * i} for i, p in enumerate(good)],
    'a person in only 4 of 3,000,000,001 frames',
  )
  fails({'instance_info': [{'frame_id': 0, 'instances': [{}]}]}, 'KeyError')
  one = as_mmpose(people(1, 17))['instance_info']
  one[0]['instances'][0]['keypoints'] = []
  fails(one, 'IndexError')
  one[0] = {'frame_id': float('inf'), 'instances': []}
  fails(one, 'OverflowError')
  fails(
    [{**p, 'image_id': f'{i}_cam2.jpg'} for i, p in enumerate(good)],
    '0_cam2.jpg and 1_cam2.jpg are both frame 2',
  )
  fails(as_coco(people(4, 19)), '19 joints a person; name their set')
  fails(good, '17 joints a person', 'body_25')
  fails(good + as_coco(people(1, 25), 4), 'they must agree')
  missing = people(4, 17)
  missing[:, 9] = 0
  fails(as_coco(missing), 'LWrist is not detected in any frame')
  path.write_text(json.dumps(good)[:-40])
  with pytest.raises(UserError, match='cut off, or not keypoints'):
    detectors.read_view([path])
  with pytest.raises(UserError, match='777 is not a camera'):
    write(tmp_path / 'x' / 'S1' / 'Walk.777.json', good)
    options = Options(keypoints='a')
    prepare_lib.prepare(tmp_path / 'x', tmp_path / 'data', options)


@pytest.mark.parametrize('name', ['mpii', 'halpe_26', 'h36m_17', 'openpose_18'])
def test_joint_sets_by_name_and_number(tmp_path, name):
  size = JOINT_SETS[name].num_joints
  person = people(3, size)
  path = write(tmp_path / 'a.json', as_coco(person))
  view = detectors.read_view([path], name)
  for joint, sources in enumerate(JOINT_SETS[name].sources):
    expected = person[:, list(sources)].mean(axis=1)
    np.testing.assert_allclose(view[:, joint], expected, rtol=1e-5)
  if name != 'h36m_17':  # Whose number is that of COCO.
    np.testing.assert_array_equal(detectors.read_view([path]), view)


def test_joint_sets_pair_left_and_right():
  """The mirror of a set is the mirror of ours."""
  # Pairs by hand: (left, right) in each set.
  pairs = {
    'coco': [(i, i + 1) for i in range(1, 16, 2)],
    'mpii': [(3, 2), (4, 1), (5, 0), (13, 12), (14, 11), (15, 10)],
    'body_25': [
      *((5, 2), (6, 3), (7, 4), (12, 9), (13, 10), (14, 11), (16, 15)),
      *((18, 17), (19, 22), (20, 23), (21, 24)),
    ],
    'openpose_18': [
      *((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10), (15, 14)),
      (17, 16),
    ],
    'halpe_26': [(i, i + 1) for i in (*range(1, 16, 2), 20, 22, 24)],
    'h36m_17': [(4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)],
    'h36m_32': [(6, 1), (7, 2), (8, 3), (17, 25), (18, 26), (19, 27)],
  }
  for name, sides in pairs.items():
    joints = JOINT_SETS[name]
    other = list(range(joints.num_joints))
    for left, right in sides:
      other[left], other[right] = right, left
    ours = dict(zip(H36M.left, H36M.right, strict=True))
    ours |= {right: left for left, right in ours.items()}
    for joint, source in enumerate(joints.sources):
      mirrored = sorted(other[i] for i in source)
      assert mirrored == sorted(joints.sources[ours.get(joint, joint)]), name
