"""Following people from when they come to when they go."""

import numpy as np
import painted
import pytest

from semgcn_jax.detections.following import follow
from semgcn_jax.errors import UserError

FPS = 30.0


def followed(frames, **options):
  """Follows painted people in frames, each {number: place}."""
  return follow(
    map(painted.picture, frames),
    painted.find,
    painted.tracker,
    fps=FPS,
    **options,
  )


def owners(found, frames):
  """Who is where a person was found, as a set."""
  return {
    painted.whose(keypoints, painted.picture(frames[number]))
    for number, keypoints in found.items()
  }


def test_everybody_in_every_frame():
  frames = [{1: (20 + t, 30), 2: (200 - t, 20)} for t in range(60)]
  people = followed(frames)
  assert [sorted(found) for found in people] == [[*range(60)]] * 2
  assert [owners(found, frames) for found in people] == [{1}, {2}]
  for found, sign in zip(people, (1, -1), strict=True):
    steps = np.diff([painted.middle(k)[0] for k in found.values()])
    np.testing.assert_allclose(steps, sign)


def test_who_comes_later_is_found_from_their_first_frame():
  # Between two looks, so that the frames before are searched backwards.
  frames = [
    {1: (20, 30)} | ({2: (200 + t, 20)} if t >= 24 else {}) for t in range(50)
  ]
  first, second = followed(frames)
  assert sorted(first) == [*range(50)]
  assert sorted(second) == [*range(24, 50)]


@pytest.mark.parametrize('gap, people', [(20, 1), (50, 1), (70, 2)])
def test_short_absences_are_bridged(gap, people):
  here = {1: (100, 30)}
  frames = [here] * 20 + [{}] * gap + [here] * 30
  result = followed(frames)
  assert len(result) == people
  numbers = sorted(number for found in result for number in found)
  assert numbers == [*range(20), *range(20 + gap, 50 + gap)]


def test_people_who_cross_keep_their_identities():
  frames = [{2: (300 - 5 * t, 15), 1: (10 + 5 * t, 40)} for t in range(55)]
  people = followed(frames)
  assert len(people) == 2
  for found in people:
    apart = {n: k for n, k in found.items() if not 20 < n < 38}
    assert len(owners(apart, frames)) == 1
    assert len(found) > 40 and {0, 54} <= found.keys()


def test_nobody_is_followed_across_a_cut():
  frames = [{1: (100, 30)}] * 20 + [{2: (100, 30)}] * 20
  people = followed(frames, is_cut=lambda number: number == 20)
  assert [sorted(found) for found in people] == [
    [*range(20)],
    [*range(20, 40)],
  ]


def test_the_box_is_in_an_image_of_its_own():
  frames = [{1: (20, 30)}] * 15 + [{1: (20, 30), 2: (200, 20)}] * 15
  box = (195, 15, painted.WIDTH + 10, painted.HEIGHT + 10)
  [found] = followed(frames, box=box, box_at=20)
  assert owners(found, frames) == {2} and sorted(found) == [*range(15, 30)]
  with pytest.raises(UserError, match='nobody was found in it'):
    followed(frames, box=box, box_at=3)
