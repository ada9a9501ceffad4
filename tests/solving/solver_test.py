"""Solves a walk whose joints, path and camera are known."""

import dataclasses

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from solved import FOCAL, FPS, HEIGHT, PITCH, ROLL, clip, film, person, walk

from semgcn_jax.geometry.skeletons import H36M, bone_vectors, mirror
from semgcn_jax.motion.upright import make_scenes
from semgcn_jax.solving import solver
from semgcn_jax.solving.report import describe, stature
from semgcn_jax.solving.solver import solve_clip
from semgcn_jax.solving.terms import TERMS, Terms


@pytest.fixture(scope='module')
def walked():
  joints, rests = walk()
  return film(joints), rests


@pytest.fixture(scope='module')
def one(walked):
  """The clip of one person, solved with its lens."""
  return solve_clip(clip(person(walked[0])), focal_length=FOCAL)


def lengths(found):
  bones = bone_vectors(np.asarray(found.poses, float), H36M)
  return np.linalg.norm(bones, axis=-1)


def test_a_body_has_constant_bones_alike_on_both_sides(one):
  found = lengths(one.people[0])
  assert np.ptp(found, axis=0).max() < 1e-5
  for left, right in zip(H36M.left, H36M.right, strict=True):
    assert found[0, left - 1] == pytest.approx(found[0, right - 1], abs=1e-5)


def test_the_camera_is_found(one):
  view = one.view
  assert view.focal_length == pytest.approx(FOCAL)
  assert abs(view.pitch - PITCH) < 3 and abs(view.roll - ROLL) < 3
  assert view.height == pytest.approx(HEIGHT, rel=0.15)


def test_the_path_is_found(one, walked):
  joints, _ = walked
  found = one.people[0].places
  off = np.linalg.norm(found - joints[:, 0], axis=-1)
  assert off.mean() < 0.1
  ways = [
    np.linalg.norm(np.diff(path[::5], axis=0), axis=-1).sum()
    for path in (found, joints[:, 0])
  ]
  assert ways[0] == pytest.approx(ways[1], rel=0.1)


def test_feet_rest_where_they_are(one, walked):
  _, rests = walked
  found = one.people[0]
  assert (found.contacts == rests).mean() > 0.8
  both = found.contacts[1:] & found.contacts[:-1]
  feet = (found.poses + found.places[:, None])[:, [3, 6]]
  speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * one.fps
  assert np.median(speed[both]) < 0.05
  [upright] = make_scenes([one])[0].upright
  heights = upright.positions[:, [3, 6], 1][found.contacts]
  np.testing.assert_allclose(np.median(heights), 0.08, atol=0.02)


def test_poses_stay_near_the_truth(one, walked):
  found = one.people[0]
  error = np.linalg.norm(found.poses - found.truth, axis=-1).mean()
  assert error < 0.045


def test_an_unknown_lens_is_near_the_usual_one(walked):
  found = solve_clip(clip(person(walked[0])))
  assert 0.7 < found.view.focal_length / FOCAL < 1.4
  assert abs(found.view.pitch - PITCH) < 3 and abs(found.view.roll - ROLL) < 3


def test_the_height_sets_the_scale(walked):
  found = solve_clip(clip(person(walked[0])), focal_length=FOCAL, height=1.2)
  assert stature(found.people[0]) == pytest.approx(1.2, rel=0.02)


def test_a_given_pitch_is_kept(walked):
  found = solve_clip(clip(person(walked[0])), pitch=20.0, focal_length=FOCAL)
  assert found.view.pitch == pytest.approx(20, abs=0.5)
  assert [scene.pitch for scene in make_scenes([found], pitch=20.0)] == [
    found.view.pitch
  ]


def test_feet_are_solved_where_they_are_marked(walked):
  joints, _ = walked
  # A camera's y is down: the toes are in front of the pelvis and below.
  ahead = np.cross(joints[:, 4] - joints[:, 1], joints[:, 7] - joints[:, 0])
  ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
  points = []
  for ankle, knee in ((3, 2), (6, 5)):
    down = joints[:, ankle] - joints[:, knee]
    down /= np.linalg.norm(down, axis=-1, keepdims=True)
    points += [
      joints[:, ankle] + 0.05 * down - 0.05 * ahead,
      joints[:, ankle] + 0.055 * down + 0.16 * ahead,
    ]
  feet = np.stack(points, axis=1)
  pixels = feet[..., :2] / feet[..., 2:] * FOCAL + (640, 360)
  marked = np.insert(pixels, 2, 0.9, axis=-1)
  seen = person(joints, marked_feet=marked)
  found = solve_clip(clip(seen), focal_length=FOCAL).people[0]
  off = found.feet - found.poses[:, [3, 3, 6, 6]]
  true = feet - joints[:, [3, 3, 6, 6]]
  assert np.linalg.norm(off - true, axis=-1).mean() < 0.05
  assert np.ptp(np.linalg.norm(off, axis=-1), axis=0).max() < 1e-5


@pytest.mark.slow
def test_people_share_one_camera(walked):
  joints, _ = walked
  people = person(joints), person(joints + (1, 0, 0), name='2', seed=1)
  few = person(joints[:3], name='3')
  found = solve_clip(clip(*people, few), focal_length=FOCAL)
  assert abs(found.view.roll - ROLL) < 3
  apart = found.people[1].places - found.people[0].places
  assert np.median(np.linalg.norm(apart, axis=-1)) == pytest.approx(1, rel=0.2)
  # Three poses are too few to solve, but enough to see where they are.
  np.testing.assert_array_equal(found.people[2].poses, few.poses)
  assert found.people[2].contacts is None
  assert np.isfinite(found.people[2].places).all()


@pytest.mark.slow
def test_long_tracks_are_solved_in_parts(walked, monkeypatch):
  joints, _ = walked
  long = np.concatenate([joints, joints[::-1]])
  monkeypatch.setattr(solver, '_FRAMES', (64,))
  monkeypatch.setattr(solver, '_OVERLAP', 16)
  found = solve_clip(clip(person(long)), focal_length=FOCAL)
  assert np.ptp(lengths(found.people[0]), axis=0).max() < 1e-5
  steps = np.diff(found.people[0].places, axis=0)
  assert np.linalg.norm(steps, axis=-1).max() < 0.15
  assert abs(found.view.pitch - PITCH) < 3


def test_unknown_poses_stay_unknown(walked):
  seen = person(walked[0])
  seen.poses[:4] = np.nan
  seen.poses[30] = np.nan
  found = solve_clip(clip(seen), focal_length=FOCAL).people[0]
  assert np.isnan(found.poses[[0, 3, 30]]).all()
  assert np.isfinite(found.poses[[4, 29, 31]]).all()
  assert not found.contacts[[0, 30]].any()


def test_people_without_legs_are_left_as_they_are(walked):
  seen = person(walked[0])
  seen.keypoints[:, [2, 3, 5, 6]] = 0
  found = solve_clip(clip(seen))
  assert found.view is None
  np.testing.assert_array_equal(found.people[0].poses, seen.poses)


def test_nobody_is_not_solved(walked):
  for people in ((), (person(walked[0][:2]),)):
    found = solve_clip(clip(*people))
    assert found.view is None and len(found.people) == len(people)
    assert 'not solved' in describe(found, False)


@pytest.mark.slow
@pytest.mark.parametrize('name', TERMS)
def test_every_term_can_be_switched_off(walked, name):
  terms = dataclasses.replace(Terms(), **{name: 0.0})
  found = solve_clip(clip(person(walked[0])), terms=terms, focal_length=FOCAL)
  assert np.isfinite(found.people[0].poses).all()


def test_a_mirrored_clip_is_solved_to_its_mirror_image(one, walked):
  seen = one.people[0]
  joints, _ = walked
  plain = person(joints)
  keypoints = plain.keypoints[:, H36M.mirror_order] * (-1, 1, 1) + (1280, 0, 0)
  mirrored = dataclasses.replace(
    plain, keypoints=keypoints, poses=mirror(plain.poses, H36M)
  )
  found = solve_clip(clip(mirrored), focal_length=FOCAL)
  back = mirror(found.people[0].poses, H36M)
  assert np.linalg.norm(back - seen.poses, axis=-1).mean() < 0.01
  assert found.view.roll == pytest.approx(-one.view.roll, abs=1)


def test_what_was_found_is_described(one):
  text = describe(one, knows_lens=True)
  assert 'looks down by 1' in text and '(given)' in text
  assert f'leans by {round(one.view.roll)}° to the left' in text
  assert 'people are 1.7' in text and 'not sure' not in text
  assert 'towards the camera' in describe(one, knows_lens=False)
  still = dataclasses.replace(
    one.people[0], contacts=np.zeros_like(one.people[0].contacts)
  )
  moving = dataclasses.replace(one, people=(still,))
  assert 'does the camera move?' in describe(moving, knows_lens=True)
  keypoints = one.people[0].keypoints.copy()
  keypoints[:, [3, 6]] = 0
  blind = dataclasses.replace(one.people[0], keypoints=keypoints)
  blind = dataclasses.replace(one, people=(blind,))
  assert 'ankles are hardly seen' in describe(blind, knows_lens=True)


@pytest.mark.slow
def test_high_rates_are_solved_at_fewer(walked):
  joints, _ = walked
  times = np.arange(len(joints))
  fine = CubicSpline(times, joints)(np.arange(0, len(joints) - 1, 1 / 6))
  seen = person(fine, noise=0.01)
  found = solve_clip(
    dataclasses.replace(clip(seen), fps=6 * FPS), focal_length=FOCAL
  )
  [solved] = found.people
  assert np.ptp(lengths(solved), axis=0).max() < 1e-5
  assert np.isfinite(solved.poses).all() and solved.contacts.any()
  assert abs(found.view.pitch - PITCH) < 3
  assert stature(solved) == pytest.approx(1.7, abs=0.15)
  off = np.linalg.norm(solved.places - fine[:, 0], axis=-1)
  assert off.mean() < 0.1


def test_feet_that_nobody_marks_are_unknown(walked):
  joints, _ = walked
  marked = np.zeros((len(joints), 4, 3))
  none = solve_clip(clip(person(joints, marked_feet=marked)))
  assert none.people[0].feet is None
  marked[5:, :2] = (600, 500, 0.9)
  some = solve_clip(clip(person(joints, marked_feet=marked))).people[0].feet
  assert np.isnan(some[:5]).all() and np.isnan(some[:, 2:]).all()
  assert np.isfinite(some[5:, :2]).all()
