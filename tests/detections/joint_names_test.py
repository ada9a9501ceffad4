"""Joint sets are recognized by the names of keypoints."""

import numpy as np
import pytest
from filmed import keypoints_of

from semgcn_jax.detections.joint_names import by_name, recognize
from semgcn_jax.detections.persons import Detection
from semgcn_jax.geometry.joint_sets import JOINT_SETS

H36M_OF_MMPOSE = (
  'root right_hip right_knee right_foot left_hip left_knee left_foot spine'
  ' thorax neck_base head left_shoulder left_elbow left_wrist right_shoulder'
  ' right_elbow right_wrist'
).split()


@pytest.mark.parametrize(
  'name', [n for n in JOINT_SETS if not n.startswith('h36m')]
)
def test_the_names_of_a_set_are_those_of_the_set(name):
  names = JOINT_SETS[name].names
  assert recognize(names) == (name, [*range(len(names))])


@pytest.mark.parametrize(
  'spell',
  [
    str.upper,
    lambda name: name.replace('_', ' '),
    lambda name: ''.join(part.capitalize() for part in name.split('_')),
    lambda name: '_'.join(reversed(name.split('_', 1))),
    lambda name: name.replace('left_', 'L').replace('right_', 'R'),
    lambda name: name.replace('left_', 'l_').replace('right_', 'r_'),
  ],
)
def test_spelling_does_not_matter(spell):
  names = [spell(name) for name in JOINT_SETS['coco'].names]
  assert recognize(names) == ('coco', [*range(17)]), names


def test_names_of_other_tools():
  key, order = recognize(H36M_OF_MMPOSE)
  assert key == 'h36m_17'
  # VideoPose3D's order; joint 9, Neck/Nose, is none of the 16.
  assert order == [*range(9), -1, *range(10, 17)]
  kinect = [n.title().replace('_', '') for n in JOINT_SETS['kinect_25'].names]
  assert recognize(kinect)[0] == 'kinect_25'


def test_keypoints_are_sorted_by_their_names():
  rng = np.random.default_rng(0)
  order = rng.permutation(17)
  names = tuple(JOINT_SETS['coco'].names[i] for i in order)
  person = keypoints_of(1)[0]
  frames = {0: [Detection(person[order], 3, names)]}
  sorted_, key = by_name(frames, '', 'f')
  assert key == 'coco' and sorted_[0][0].track == 3
  np.testing.assert_array_equal(sorted_[0][0].keypoints, person)
  # Of a set that the user names, too; what is missing is not found.
  part = Detection(person[order][:16], None, names[:16])
  (found,) = by_name({0: [part]}, 'coco', 'f')[0][0]
  lost = order[16]
  assert not found.keypoints[lost].any()
  kept = np.arange(17) != lost
  np.testing.assert_array_equal(found.keypoints[kept], person[kept])


def test_unknown_names_are_told_and_empty_ones_are_not(caplog):
  person = keypoints_of(1)[0]
  for names in (
    [f'keypoint_{i}' for i in range(17)],
    [str(i) for i in range(17)],
  ):
    frames, key = by_name({0: [Detection(person, names=tuple(names))]}, '', 'f')
    assert key == '' and not caplog.text
    np.testing.assert_array_equal(frames[0][0].keypoints, person)
  odd = tuple('abcdefghijklmnopq')
  assert by_name({0: [Detection(person, names=odd)]}, '', 'f.json')[1] == ''
  assert 'f.json: names its keypoints a, b, c' in caplog.text
