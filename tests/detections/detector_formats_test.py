import json

import numpy as np
import pytest
from detections import (
  FORMS,
  as_annotations,
  as_coco,
  as_mmpose,
  coco,
  openpose,
  people,
  read_view,
  write,
)

from semgcn_jax.detections.detector_formats import read_people
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS


@pytest.mark.parametrize('form', FORMS)
def test_every_form_of_one_file(tmp_path, form):
  person = people(12, 17)
  path = write(tmp_path / 'a.json', form(person))
  view = read_view([path])
  assert view.dtype == np.float32
  np.testing.assert_allclose(view, coco(person), rtol=1e-5)


def test_a_file_per_frame(tmp_path):
  person = people(12, 25)
  files = [
    write(tmp_path / f'walk2_{i:012d}_keypoints.json', openpose(p[None]))
    for i, p in enumerate(person)
  ]
  view = read_view(files)
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
  view = read_view(files)
  np.testing.assert_allclose(view, coco(people(5, 17)), rtol=1e-5)


def test_bad_detections(tmp_path):
  path = tmp_path / 'S1' / 'Walk.0.json'

  def fails(content, match, joint_set=''):
    write(path, content)
    with pytest.raises(UserError, match=match) as caught:
      read_view([path], joint_set)
    assert 'Walk.0.json' in str(caught.value)

  good = as_coco(people(4, 17))
  fails({'hello': 1}, 'not keypoints in a known format; known are .* COCO')
  fails([{**good[0], 'keypoints': [1, 2]}], 'not keypoints of COCO')
  fails([{**good[0], 'keypoints': ['a'] * 51}], 'not keypoints of COCO')
  fails([{**good[0], 'keypoints': [float('inf')] * 51}], 'not a number')
  fails([{**good[0], 'image_id': 'cat.jpg'}], 'frame cat.jpg has no number')
  fails(
    [{**p, 'image_id': 10**9 * i * i} for i, p in enumerate(good)],
    'a person in only 4 of 9,000,000,001 frames',
  )
  fails({'instance_info': [{'frame_id': 0, 'instances': [{}]}]}, 'KeyError')
  one = as_mmpose(people(1, 17))['instance_info']
  one[0] = {'frame_id': float('inf'), 'instances': []}
  fails(one, 'OverflowError')
  fails(
    [{**p, 'image_id': f'{"abcd"[i]}_cam2.jpg'} for i, p in enumerate(good)],
    'a_cam2.jpg and b_cam2.jpg are both frame 2',
  )
  fails(as_coco(people(4, 19)), '19 joints a person; name their set')
  fails(good, '17 joints a person', 'body_25')
  fails(good + as_coco(people(1, 25), 4), 'they must agree')
  missing = people(4, 17)
  missing[:, 9] = 0
  fails(as_coco(missing), 'LWrist is not detected in any frame')
  path.write_text(json.dumps(good)[:-40])
  with pytest.raises(UserError, match='cut off, or no JSON'):
    read_view([path])


@pytest.mark.parametrize('name', ['mpii', 'halpe_26', 'h36m_17', 'openpose_18'])
def test_joint_sets_by_name_and_number(tmp_path, name):
  size = JOINT_SETS[name].num_joints
  person = people(3, size)
  path = write(tmp_path / 'a.json', as_coco(person))
  view = read_view([path], name)
  for joint, sources in enumerate(JOINT_SETS[name].sources):
    expected = person[:, list(sources)].mean(axis=1)
    np.testing.assert_allclose(view[:, joint], expected, rtol=1e-5)
  if name != 'h36m_17':  # Whose number is that of COCO.
    np.testing.assert_array_equal(read_view([path]), view)


def test_two_columns_are_read_as_such(tmp_path):
  person = people(1, 16)[0]
  listed = [{'image_id': 0, 'keypoints': person[:, :2].tolist()}]
  view = read_view([write(tmp_path / 'a.json', listed)])
  assert (view[..., 2] == 1).all()
  np.testing.assert_allclose(view[0, 9, :2], person[9, :2], rtol=1e-5)
  # 24 points of two columns are no 16 of three, be they flat or not.
  points = people(1, 24)[0, :, :2]
  for keypoints, match in (
    (points.ravel().tolist(), 'not from 0 to 1'),
    (points.tolist(), '24 joints a person'),
    (people(1, 17)[0].ravel().tolist()[:-1], r'of shape \[50\]'),
    ([[1, 2, 3, 4]] * 17, r'of shape \[17, 4\]'),
    ([[1, 2, -1]] * 17, 'not from 0 to 1'),
  ):
    path = write(tmp_path / 'b.json', [{'image_id': 0, 'keypoints': keypoints}])
    with pytest.raises(UserError, match=match):
      read_view([path])


def as_poseflow(person):
  return {
    f'{i}.jpg': [{'keypoints': p.ravel().tolist(), 'idx': 1, 'scores': 2.5}]
    for i, p in enumerate(person)
  }


def as_mmpose_0(person):
  return [{
    'preds': person.tolist(),
    'boxes': [[0] * 6] * len(person),
    'image_paths': [f'frames/img_{i:06d}.jpg' for i in range(len(person))],
  }]  # fmt: skip


def as_predictions(person):
  frames = as_mmpose(person)['instance_info']
  return {'predictions': [[frame['instances']][0] for frame in frames]}


def as_lists(person):
  return [[{'keypoints': p.tolist(), 'bbox': [0, 0, 9, 9]}] for p in person]


def as_hands_too(person):
  hand = {'image_id': 0, 'category_id': 2, 'keypoints': [5.0, 5.0, 1.0] * 21}
  return [hand, *as_coco(person), hand]


def as_annotated_hands(person):
  content = as_annotations(person)
  for entry in content['annotations']:
    entry['category_id'] = 7
  hand = {'image_id': 100, 'category_id': 3, 'keypoints': [5.0, 5.0, 1.0] * 21}
  content['annotations'] += [hand]
  content['categories'] = [
    {'id': 7, 'name': 'person'}, {'id': 3, 'name': 'hand'}
  ]  # fmt: skip
  return content


def as_yolo(person):
  """A list for each frame, as its `result.to_json()` gives one."""
  return [
    [
      {
        'name': 'person', 'class': 0, 'confidence': 0.9,
        'box': {'x1': 0, 'y1': 0, 'x2': 9, 'y2': 9},
        'keypoints': dict(
          zip(('x', 'y', 'visible'), p.T.tolist(), strict=True)
        ),
      }
    ]
    for p in person
  ]  # fmt: skip


def as_bottom_up(person):
  return [
    {'preds': [p.tolist(), (p * (1, 1, 0.5)).tolist()],
     'image_paths': [f'img_{i}.jpg'], 'scores': [1, 1]}
    for i, p in enumerate(person)
  ]  # fmt: skip


def as_poseflow_itself(person):
  return {
    f'{i}.jpg': {
      'num_boxes': 1,
      '1': {'keypoints_pos': p[:, :2].tolist(), 'new_pid': 4,
            'keypoints_score': p[:, 2:].tolist()},
    }
    for i, p in enumerate(person)
  }  # fmt: skip


@pytest.mark.parametrize(
  'form',
  [
    *(as_yolo, as_bottom_up, as_poseflow_itself),
    *(as_poseflow, as_mmpose_0, as_predictions, as_lists, as_hands_too),
    as_annotated_hands,
  ],
)
def test_other_forms_that_people_have(tmp_path, form):
  person = people(12, 17)
  view = read_view([write(tmp_path / 'a.json', form(person))])
  expected = coco(person)
  if 'annot' in form.__name__:
    expected[..., 2] = np.minimum(expected[..., 2], 1)
  np.testing.assert_allclose(view, expected, rtol=1e-5)


def test_older_openpose_and_what_is_not_seen(tmp_path):
  person = people(6, 18)
  files = []
  for i, p in enumerate(person):
    points = p.tolist()
    if i == 2:
      points[4] = [float('nan'), float('nan'), 0.5]
    entry = {'people': [{'pose_keypoints': sum(points, [])}]}
    files.append(write(tmp_path / f'img.{i:04d}.json', entry))
  files.append(write(tmp_path / 'camera_3.json', {'fx': 1145.0}))
  view = read_view(files)
  assert len(view) == 6 and view[2, 15, 2] == 0  # The right wrist.
  person = people(3, 17)
  for gone in (None, []):
    points = person.tolist()
    points[1][9] = gone
    entries = [
      {'image_id': i, 'keypoints': p} for i, p in enumerate(points)
    ] + [{'image_id': 2, 'keypoints': gone}]
    view = read_view([write(tmp_path / 'b.json', entries)])
    assert view[1, 12, 2] == 0 and (view[2, :, 2] > 0).all()


@pytest.mark.parametrize(('person', 'hand'), [(0, 1), (1, 2), (1, 0), (7, 3)])
def test_hands_are_told_by_their_number_of_keypoints(tmp_path, person, hand):
  body = people(4, 17)
  entries = [entry | {'category_id': person} for entry in as_coco(body)]
  other = {
    'image_id': 0,
    'category_id': hand,
    'keypoints': [5.0, 5.0, 1.0] * 21,
  }
  path = write(tmp_path / 'a.json', [other, *entries, other])
  np.testing.assert_allclose(read_view([path]), coco(body), rtol=1e-5)
  frames = read_people([path]).frames
  assert [len(found) for found in frames.values()] == [1] * 4
  annotations = as_annotated_hands(body)
  annotations['categories'][0]['name'] = 'Person'
  path = write(tmp_path / 'b.json', annotations)
  frames = read_people([path]).frames
  assert [len(found) for found in frames.values()] == [1] * 4


def test_yolo_gives_a_file_for_each_frame(tmp_path):
  person = people(4, 17)
  person[2, 9] = 0  # What YOLO has not found.
  files = [
    write(tmp_path / f'clip_{i}.json', frame)
    for i, frame in enumerate(as_yolo(person))
  ]
  files.append(write(tmp_path / 'clip_4.json', []))
  view = read_view(files)
  assert len(view) == 5 and view[2, 12, 2] == 0
  np.testing.assert_allclose(view[3], coco(person)[3], rtol=1e-5)
  entries = as_yolo(person)[0]
  del entries[0]['keypoints']['visible']
  frames = read_people([write(tmp_path / 'one.json', entries)]).frames
  assert (frames[0][0].keypoints[:, 2] == 1).all()


@pytest.mark.parametrize(
  'nobody',
  [None, [], *([{'keypoints': [gone] * n}] for gone in (None, [])
               for n in (17, 18, 51))],
)  # fmt: skip
def test_frames_in_which_nobody_is_seen(tmp_path, nobody):
  frames = as_lists(people(3, 17))
  video = as_mmpose(people(3, 17))
  frames[1] = video['instance_info'][1]['instances'] = nobody
  flow = as_poseflow(people(3, 17)) | {'1.jpg': nobody}
  for content in (frames, video, flow):
    found = read_people([write(tmp_path / 'a.json', content)]).frames
    assert [len(of_frame) for of_frame in found.values()] == [1, 0, 1]


@pytest.mark.parametrize(
  ('name', 'content'),
  [
    ('info.json', {'tags': []}),
    ('info.json', []),
    ('errors2020.json', []),
    ('info.json', {'predictions': ['x']}),
    ('info.json', {'people': ['Ann']}),
    ('a1.json', {'1': None}),
  ],
)
def test_json_beside_the_frames_is_passed_over(tmp_path, name, content):
  files = [
    write(tmp_path / f'v_{i}_keypoints.json', openpose(p[None]))
    for i, p in enumerate(people(4, 25))
  ]
  frames = read_people([write(tmp_path / name, content), *files]).frames
  assert [*frames] == [0, 1, 2, 3]


def test_messages_say_what_to_do(tmp_path):
  good = as_coco(people(2, 17))
  path = tmp_path / 'a.json'

  def fails(content, match):
    with pytest.raises(UserError, match=match):
      read_people([write(path, content)])

  for sure in (-1, 5.9):
    fails(
      [{'image_id': 0, 'keypoints': [5.0, 5.0, sure] * 17}],
      'not from 0 to 1 .* give 0 to missing keypoints',
    )
  fails({'hello': 1}, r'and YOLO \(result.to_json')
  fails([good[0] | {'image_id': 1.5}], 'image_id 1.5 is not a whole number')
  fails([good[0] | {'image_id': '1.5'}], 'frame 1.5 is not a whole number')
  fails([{'image_id': 0, 'keypoints': [1e200, 5.0, 1.0] * 17}], 'beyond 1e')
  path.write_text(''.join(json.dumps(entry) + '\n' for entry in good))
  with pytest.raises(UserError, match='in line 2; a file must be one value'):
    read_people([path])
  path.write_text('x' * 10**5)
  with pytest.raises(UserError) as caught:
    read_people([path])
  assert len(str(caught.value)) < len(str(path)) + 200
  named = [e | {'image_id': f'img.000{i}'} for i, e in enumerate(good, 1)]
  assert [*read_people([write(path, named)]).frames] == [1, 2]


@pytest.mark.parametrize('images', [[3], [{'width': 10**400, 'height': 5}]])
def test_odd_sizes_of_images_are_not_told(tmp_path, images):
  content = openpose(people(1, 25)) | {'images': images}
  assert read_people([write(tmp_path / 'a.json', content)]).image_size is None


def test_people_in_other_wrappings(tmp_path):
  person = people(3, 17)
  names = JOINT_SETS['coco'].names
  objects = [
    [
      {
        'score': 0.9,
        'keypoints': [
          {'x': float(x), 'y': float(y), 'score': float(c), 'name': name}
          for (x, y, c), name in zip(frame, names, strict=True)
        ],
      }
    ]
    for frame in person
  ]
  for content in (
    objects,  # TensorFlow.js
    {'data': as_coco(person)},
    {'results': as_lists(person)},
    json.dumps(as_lists(person)),
  ):
    frames = read_people([write(tmp_path / 'a.json', content)]).frames
    assert [*frames] == [0, 1, 2]
    for number, (found,) in frames.items():
      np.testing.assert_allclose(found.keypoints, person[number], rtol=1e-5)
  found = read_people([write(tmp_path / 'a.json', objects)]).frames[0][0]
  assert found.names == names


def test_mmpose_names_its_keypoints(tmp_path):
  content = as_mmpose(people(2, 17))
  names = [f'name {index}' for index in range(17)]
  for stated in (names, {str(i): name for i, name in enumerate(names)}):
    content['meta_info'] = {'keypoint_id2name': stated}
    frames = read_people([write(tmp_path / 'a.json', content)]).frames
    assert {p.names for found in frames.values() for p in found} == {(*names,)}
