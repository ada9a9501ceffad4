import dataclasses

import numpy as np
import pytest
from filmed import moving
from scenes import clip, crowd, person

from semgcn_jax.data import hands
from semgcn_jax.detections.clips import Clip, Person, View
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import HAND
from semgcn_jax.motion.upright import (
  estimate_pitch,
  make_scenes,
  room_turn,
  stand_up,
  vertical_of,
)


def test_a_tilted_camera_sees_the_feet_nearer_or_farther():
  # By hand: a camera that looks down by 30 degrees sees a vertical body's top
  # nearer than its feet; y is down, z is forward.
  seen = person(1, pitch=30).poses[0]
  level = moving(1)[0]
  np.testing.assert_allclose(
    seen[9, 2] - seen[3, 2],
    np.sin(np.pi / 6) * (level[9, 1] - level[3, 1])
    + np.cos(np.pi / 6) * (level[9, 2] - level[3, 2]),
    atol=1e-5,
  )
  assert seen[9, 2] < seen[3, 2]


@pytest.mark.parametrize('pitch', [-20, 0, 15, 45])
def test_the_pitch_is_estimated(pitch):
  level = estimate_pitch(clip(person(25)))
  assert abs(level) < 8
  tilted = estimate_pitch(clip(person(25, pitch=pitch)))
  assert tilted - level == pytest.approx(pitch, abs=1.5)


def test_a_crowd_of_all_directions_tells_it_well():
  assert abs(estimate_pitch(clip(crowd()))) < 4


def test_nobody_who_stands_tells_nothing():
  lying = crowd()
  lying = dataclasses.replace(lying, poses=lying.poses[..., [1, 0, 2]])
  assert abs(estimate_pitch(clip(lying)) or 0) <= 60
  folded = dataclasses.replace(lying, poses=lying.poses * 0)
  assert estimate_pitch(clip(folded)) is None
  missing = dataclasses.replace(lying, poses=lying.poses * np.nan)
  assert (
    estimate_pitch(clip(missing)) is None and estimate_pitch(clip()) is None
  )
  [scene] = make_scenes([clip(missing)])
  assert 'nobody stands upright' in scene.note and scene.pitch == 0


@pytest.mark.parametrize('pitch', [0, 25])
def test_people_stand_on_the_ground(pitch):
  [scene] = make_scenes(
    [clip(person(truth=True, pitch=pitch))], pitch=float(pitch)
  )
  [upright] = scene.upright
  # A level pose with y down and z forward, turned by half about x.
  expected = moving(20) * (1, -1, -1)
  expected[..., 1] += 0.08 - expected[..., 1].min(axis=1)[:, None]
  np.testing.assert_allclose(upright.positions, expected, atol=1e-4)
  np.testing.assert_allclose(
    np.linalg.norm(upright.truth - upright.positions, axis=-1)[:, 1:],
    np.sqrt(3) * 0.01,
    atol=1e-4,
  )
  assert scene.note.endswith('as given.')


def test_known_places_are_walked_along():
  steps = np.linspace(0, 2, 50)
  places = np.stack([steps, 0 * steps + 0.3, 6 - steps], axis=-1)
  walker = person(50, places=places)
  [upright] = stand_up(clip(walker, fps=10.0), 0.0)
  path = upright.positions[:, 0]
  np.testing.assert_allclose(path[:, 0] - path[0, 0], steps, atol=1e-5)
  np.testing.assert_allclose(path[:, 2] - path[0, 2], steps, atol=1e-5)
  lowest = upright.positions[..., 1].min(axis=1)
  assert abs(np.percentile(lowest, 10) - 0.08) < 0.03 and lowest.min() > 0
  gaps = places.copy()
  gaps[20:30] = np.nan
  [filled] = stand_up(clip(person(50, places=gaps), fps=10.0), 0.0)
  np.testing.assert_allclose(filled.positions, upright.positions, atol=0.05)
  [lost] = stand_up(clip(person(50, places=places * np.nan), fps=10.0), 0.0)
  assert np.isfinite(lost.positions).all()


def test_several_people_stand_beside_each_other():
  left, right = person(name='1'), person(name='2')
  shift = right.keypoints + (400, 0, 0)  # At 5 m and 1,000 pixels: 2 m.
  right = dataclasses.replace(right, keypoints=shift)
  a, b = stand_up(clip(left, right, fps=30.0), 0.0)
  apart = (b.positions - a.positions).mean(axis=(0, 1))
  # The lens is assumed; this one is nearly it, 1.2 times 1,280.
  np.testing.assert_allclose(apart[[1, 2]], 0, atol=0.02)
  assert 1.6 < apart[0] < 2.2
  hidden = shift.copy()
  hidden[..., 2] = 0
  hidden = dataclasses.replace(right, keypoints=hidden)
  assert np.isfinite(
    stand_up(clip(left, hidden, fps=30.0), 0.0)[1].positions
  ).all()


def test_scenes_are_clips():
  clips = [
    clip(person(), person(name='2'), name='a', pitch=12.0),
    clip(person(name='x'), name='b'),
  ]
  scenes = make_scenes(clips)
  assert [scene.clip for scene in scenes] == clips
  assert [len(scene.upright) for scene in scenes] == [2, 1]
  assert scenes[0].note == 'The camera looks down by 12°, as it was calibrated.'
  late = person(5, frames=np.array([7, 8, 9, 12, 13]))
  assert clip(late).frames == range(7, 14)
  assert clip(late, person(2), person(0)).frames == range(0, 14)
  assert clip(person(0)).frames == clip().frames == range(0)


def test_frames_far_apart_are_refused():
  far = person(2, frames=np.array([0, 10**12]))
  with pytest.raises(UserError, match='walk: its frames go from 0 to 10000'):
    make_scenes([clip(far)])


def test_a_wild_place_is_not_believed():
  places = np.tile([0.0, 0.0, 5.0], (20, 1))
  places[7] = (0, 0, 1e5)
  [upright] = stand_up(clip(person(places=places), fps=10.0), 0.0)
  assert np.abs(upright.positions).max() < 110


def test_the_vertical_is_found_though_the_camera_leans():
  turn = room_turn(20.0, 15.0)
  up = turn[1]
  np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
  lean, roll = np.deg2rad((20, 15))
  expected = (np.sin(roll) * np.cos(lean), -np.cos(roll) * np.cos(lean))
  np.testing.assert_allclose(up, (*expected, -np.sin(lean)), atol=1e-12)
  # A crowd that stands, in the room's frame and then in the camera's.
  level = crowd().poses * (1, -1, -1)
  found = vertical_of(level @ turn)
  assert np.rad2deg(np.arccos(found @ up)) < 5
  assert vertical_of(level * np.nan) is None


def test_a_solved_clip_stands_where_its_camera_says():
  places = np.tile((0.5, 0.3, 5.0), (20, 1))
  view = View(1000.0, (640.0, 360.0), 10.0, 5.0, 1.7)
  feet = np.ones((20, 4, 3))
  solved = clip(person(20, places=places, feet=feet), view=view)
  [scene] = make_scenes([solved])
  turn = room_turn(10.0, 5.0)
  [upright] = scene.upright
  root = upright.positions[:, 0]
  np.testing.assert_allclose(root[:, 1], (places @ turn.T)[:, 1] + 1.7)
  np.testing.assert_allclose(root[:, [0, 2]], 0, atol=1e-9)
  np.testing.assert_allclose(
    upright.feet - root[:, None], feet @ turn.T, atol=1e-9
  )
  assert (
    scene.note == 'The camera looks down by 10° and leans by 5°, as solved.'
  )
  # With another pitch, the ground is where the feet are.
  [scene] = make_scenes([solved], pitch=30.0)
  assert scene.pitch == 30 and scene.note.endswith('as given.')


@pytest.mark.parametrize(
  ('size', 'unit', 'width'),
  [(1.0, 0.2, '10 cm'), (0.3, 0.05, '2.5 cm'), (100.0, 20.0, '10 m')],
)
def test_what_is_no_person_is_drawn_in_a_unit_of_its_size(size, unit, width):
  poses = size * hands.generate(np.random.default_rng(0), 5)
  seen = Person('1', np.arange(5), poses=poses, truth=poses + 0)
  scene_clip = Clip('hand', (seen,), 10.0, (100, 100), skeleton=HAND)
  [scene] = make_scenes([scene_clip])
  assert scene.unit == pytest.approx(unit)
  assert f'The tiles are {width} wide.' in scene.note
  [drawn], [upright] = scene.drawn, scene.upright
  np.testing.assert_allclose(drawn.positions * unit, upright.positions)
  np.testing.assert_allclose(drawn.truth, drawn.positions)
  # Just above the ground, and as large as people.
  lowest = drawn.positions[..., 1].min(axis=1)
  np.testing.assert_allclose(lowest, 0.05, atol=1e-6)
  reach = np.linalg.norm(poses, axis=-1).max(axis=-1) / unit
  assert (reach > 0.4).all() and (reach < 2).all()


def test_people_are_drawn_as_they_are():
  [scene] = make_scenes([clip(person(3))])
  assert scene.unit == 1 and scene.drawn is scene.upright
