"""Finding people in pictures, with a detector of painted people."""

import numpy as np
import painted
import pytest
from filmed import keypoints_of

from semgcn_jax.detections import finding
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS

NAMES = JOINT_SETS['mediapipe'].names


def test_everybody_is_found_one_after_the_other():
  picture = painted.picture({1: (20, 30), 2: (150, 10), 3: (250, 40)})
  people = finding.find_people(painted.find, picture)
  assert {painted.whose(p.keypoints, picture) for p in people} == {1, 2, 3}
  assert painted.find(picture) and len(people) == 3


def test_a_box_chooses_who_fits_it():
  picture = painted.picture({1: (20, 30), 2: (150, 10)})
  left, top = 150, 10
  box = (left - 5, top - 5, painted.WIDTH + 10, painted.HEIGHT + 10)
  person = finding.find_in_box(painted.find, picture, box)
  assert painted.whose(person.keypoints, picture) == 2
  with pytest.raises(UserError, match='`box=300,0,9,9`: nobody was found'):
    finding.find_in_box(painted.find, picture, (300, 0, 9, 9))


def test_shares_of_boxes():
  small, large = (
    np.array([[0, 0, 1], [side, side, 1]], float) for side in (9, 19)
  )
  # Boxes end one pixel after the last keypoint: 10 x 10 and 20 x 20.
  assert finding.inside(small, large) == finding.shared(small, large) == 1
  assert finding.inside(large, small) == pytest.approx(100 / 400)
  assert finding.overlap(small, (0, 0, 20, 20)) == pytest.approx(100 / 400)


def test_who_has_the_proportions_of_a_person_is_plausible():
  [person] = keypoints_of(1, 'mediapipe')
  person[(person[:, :2] == 10).all(axis=-1)] = 0  # What poses do not have.
  assert finding.is_plausible(person)
  # Only a face and shoulders.
  bust = person.copy()
  bust[NAMES.index('left_elbow') :] = 0
  assert finding.is_plausible(bust)
  index = NAMES.index('left_elbow')
  arm = person.copy()
  arm[index, :2] += 5 * np.abs(person[NAMES.index('nose'), 1] - person[11, 1])
  assert not finding.is_plausible(arm)
  head = person.copy()
  head[:11, :2] = person[11, :2] + 0.02 * (person[:11, :2] - person[11, :2])
  assert not finding.is_plausible(head)


def test_who_is_small_in_the_image_is_found_in_a_part_of_it():
  picture = painted.picture({1: (20, 30), 2: (150, 10)})

  def find(image):
    """Sees nobody who fills less than a fifth of an image."""
    people = painted.find(image)
    least = image.shape[0] * image.shape[1] / 5
    return people if painted.WIDTH * painted.HEIGHT > least else []

  assert not find(picture)
  for number, (left, top) in {1: (20, 30), 2: (150, 10)}.items():
    box = (left, top, painted.WIDTH, painted.HEIGHT)
    person = finding.find_in_box(find, picture, box)
    assert painted.whose(person.keypoints, picture) == number
    [wanted] = painted.find(painted.picture({number: (left, top)}))
    np.testing.assert_allclose(person.keypoints, wanted.keypoints)
  with pytest.raises(UserError, match='nobody was found'):
    finding.find_in_box(find, picture, (300, 0, 9, 9))
