import json

import numpy as np
import pytest
from detections import (
  FORMS,
  as_alphapose,
  as_annotations,
  as_coco,
  as_mmpose,
  coco,
  openpose,
  people,
  write,
)

from semgcn_jax.data import detector_formats
from semgcn_jax.errors import UserError
from semgcn_jax.joint_sets import JOINT_SETS


@pytest.mark.parametrize('form', FORMS)
def test_every_form_of_one_file(tmp_path, form):
  person = people(12, 17)
  path = write(tmp_path / 'a.json', form(person))
  view = detector_formats.read_view([path])
  assert view.dtype == np.float32
  np.testing.assert_allclose(view, coco(person), rtol=1e-5)


def test_a_file_per_frame(tmp_path):
  person = people(12, 25)
  files = [
    write(tmp_path / f'walk2_{i:012d}_keypoints.json', openpose(p[None]))
    for i, p in enumerate(person)
  ]
  view = detector_formats.read_view(files)
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
  view = detector_formats.read_view(files)
  np.testing.assert_allclose(view, coco(people(5, 17)), rtol=1e-5)


def test_the_surest_person_is_taken(tmp_path):
  person = people(3, 25)
  other = people(3, 25, seed=1) * (1, 1, 0.1)
  for i in range(3):
    both = np.stack([other[i], person[i]])
    write(tmp_path / f'{i}.json', openpose(both))
  view = detector_formats.read_view(sorted(tmp_path.iterdir()))
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
  view = detector_formats.read_view(sorted(tmp_path.iterdir()))
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
  view = detector_formats.read_view([write(tmp_path / 'a.json', entries)])
  assert len(view) == 29
  np.testing.assert_allclose(view[5], coco(person)[3], rtol=1e-5)


def test_frames_without_a_person_count(tmp_path):
  """Also at the start and the end, where a form names them."""
  person = people(10, 25)
  files = []
  for i in range(10):
    entry = openpose(person[i][None] if 2 <= i < 8 else person[:0])
    files.append(write(tmp_path / f'v_{i:012d}_keypoints.json', entry))
  view = detector_formats.read_view(files)
  assert len(view) == 10
  np.testing.assert_allclose(view[2:8, 0], person[2:8, 8], rtol=1e-5)
  np.testing.assert_array_equal(view[1, 0, :2], view[2, 0, :2])
  for first in (0, 1):
    frames = as_mmpose(people(6, 17))['instance_info']
    frames = [{**f, 'frame_id': i + first} for i, f in enumerate(frames)]
    frames[0]['instances'] = frames[5]['instances'] = []
    view = detector_formats.read_view([write(tmp_path / 'a.json', frames)])
    assert len(view) == 6
    np.testing.assert_allclose(view[1], coco(people(6, 17))[1], rtol=1e-5)
  annotations = as_annotations(people(6, 17))
  del annotations['annotations'][0]
  annotations['annotations'].append({'image_id': 100, 'iscrowd': 1})
  view = detector_formats.read_view([write(tmp_path / 'a.json', annotations)])
  assert len(view) == 6
  # AlphaPose says nothing of frame 0, but counts from it.
  view = detector_formats.read_view(
    [write(tmp_path / 'a.json', as_alphapose(people(6, 17))[1:])]
  )
  assert len(view) == 6


def test_bad_detections(tmp_path):
  path = tmp_path / 'S1' / 'Walk.0.json'

  def fails(content, match, joint_set=''):
    write(path, content)
    with pytest.raises(UserError, match=match) as caught:
      detector_formats.read_view([path], joint_set)
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
    detector_formats.read_view([path])


@pytest.mark.parametrize('name', ['mpii', 'halpe_26', 'h36m_17', 'openpose_18'])
def test_joint_sets_by_name_and_number(tmp_path, name):
  size = JOINT_SETS[name].num_joints
  person = people(3, size)
  path = write(tmp_path / 'a.json', as_coco(person))
  view = detector_formats.read_view([path], name)
  for joint, sources in enumerate(JOINT_SETS[name].sources):
    expected = person[:, list(sources)].mean(axis=1)
    np.testing.assert_allclose(view[:, joint], expected, rtol=1e-5)
  if name != 'h36m_17':  # Whose number is that of COCO.
    np.testing.assert_array_equal(detector_formats.read_view([path]), view)
