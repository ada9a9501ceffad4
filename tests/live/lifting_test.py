"""People of a live video in a room."""

import numpy as np
import pytest
from filmed import film_level, moving, standing
from scipy.spatial.transform import Rotation
from timed import make_lifter

from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.joint_sets import JOINT_SETS, joints_of
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.live.lifting import Stage
from semgcn_jax.motion.path import SOLE
from semgcn_jax.motion.upright import room_turn

SIZE = (1280, 720)


@pytest.fixture(scope='module')
def lifter():
  return make_lifter(causal=True)


def filmed(count=30):
  points = film_level(moving(count), SIZE).keypoints('coco')
  return np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)


def test_a_stream_for_each_person(lifter):
  first, second = filmed(), filmed()[::-1].copy()
  second[..., 0] += 200
  stage = Stage(lifter, 'coco', SIZE, 10.0, pitch=0.0)
  alone = {1: lifter.stream(SIZE, fps=10.0), 2: lifter.stream(SIZE, fps=10.0)}
  for t in range(20):
    found = {1: first[t]} | ({2: second[t]} if t >= 5 else {})
    people = stage.advance(0.1 * t, found)
    assert [person.number for person in people] == sorted(found)
    for person in people:
      pose = alone[person.number](found[person.number])
      np.testing.assert_allclose(person.errors, pose.errors, atol=1e-6)
      np.testing.assert_allclose(
        person.positions - person.positions[0],
        (pose.poses - pose.poses[0]) @ room_turn(0.0).T,
        atol=1e-6,
      )
      np.testing.assert_array_equal(
        person.keypoints, joints_of(found[person.number], JOINT_SETS['coco'])
      )
      assert person.positions[:, 1].min() == pytest.approx(SOLE)


def test_a_stream_ends_with_the_person(lifter):
  keypoints = filmed()
  stage = Stage(lifter, 'coco', SIZE, 10.0)
  [start] = stage.advance(0.0, {1: keypoints[0]})
  stage.advance(0.1, {1: keypoints[15]})
  assert stage.advance(2.2, {}) == []
  [again] = stage.advance(2.3, {1: keypoints[0]})
  relative = [p.positions - p.positions[0] for p in (start, again)]
  np.testing.assert_allclose(*relative, atol=1e-6)


def test_another_frame_rate(lifter):
  keypoints = filmed()
  stage = Stage(lifter, 'coco', SIZE, 10.0)
  for t in range(5):
    stage.advance(0.1 * t, {1: keypoints[t]})
  stage.change_fps(20.0)
  anew = lifter.stream(SIZE, fps=20.0)
  for t in range(5, 10):
    [person] = stage.advance(0.25 + 0.05 * t, {1: keypoints[t]})
    np.testing.assert_allclose(person.errors, anew(keypoints[t]).errors)


def test_who_is_hardly_seen_is_not_shown(lifter):
  stage = Stage(lifter, 'coco', SIZE, 10.0)
  assert stage.advance(0.0, {1: np.zeros((17, 3))}) == []


class Exact:
  """Knows the poses of people whom a camera sees from above."""

  def __init__(self, pitch):
    turn = Rotation.from_euler('x', pitch, degrees=True).as_matrix()
    self.poses = iter(standing(30) @ turn.T)

  def stream(self, *_, **__):
    return lambda _: Lifted(next(self.poses), np.zeros(16), 0)


@pytest.mark.parametrize('pitch', [-15, 25])
def test_the_pitch_is_estimated_unless_known(pitch):
  keypoints = filmed()
  for known in (None, 7.0):
    stage = Stage(Exact(pitch), 'coco', SIZE, 10.0, pitch=known)
    for t, frame in enumerate(keypoints):
      [person] = stage.advance(0.1 * t, {1: frame})
    assert stage.pitch == known or abs(stage.pitch - pitch) < 3
  # They stand upright in the room.
  stage = Stage(Exact(pitch), 'coco', SIZE, 10.0, pitch=float(pitch))
  [person] = stage.advance(0.0, {1: keypoints[0]})
  lean = person.positions[H36M.joints.index('Thorax')] - person.positions[0]
  assert lean[1] > 0.98 * np.linalg.norm(lean)


def test_a_network_that_sees_the_future_cannot(lifter):
  with pytest.raises(SettingError, match='causal'):
    Stage(make_lifter(), 'coco', SIZE, 10.0)
