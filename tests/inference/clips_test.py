"""Clips of any length and frame rate."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from filmed import film_level, level, standing
from scipy.interpolate import CubicSpline
from timed import RATES, SIZE, make_lifter, of_frames

from semgcn_jax import Lifter
from semgcn_jax.data.synthetic import generate
from semgcn_jax.detections.clips import Clip
from semgcn_jax.detections.persons import Detection
from semgcn_jax.detections.tracking import track
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.inference import clips
from semgcn_jax.inference.bounds import MEDIAN_LENGTHS, bound
from semgcn_jax.inference.people import lift_clip
from semgcn_jax.inference.steadying import steady
from semgcn_jax.models import inputs


@pytest.fixture(scope='module')
def lifter():
  return make_lifter(causal=True)


@pytest.fixture(scope='module')
def keypoints():
  """A clip of 70 frames."""
  return of_frames(70)


def test_lost_frames_show_the_last_one_as_in_training():
  rng = np.random.default_rng(0)
  points = rng.uniform(1, 9, (8, 16, 3)).astype(np.float32)
  points[..., 2] = 0.5
  points[1, 3] = 0
  seen = np.array([1, 1, 0, 0, 1, 0, 1, 1], bool)
  points[~seen] = 0
  wanted = points.copy()
  for frame, source in ((2, 1), (3, 1), (5, 4)):
    wanted[frame] = points[source]
    wanted[frame, :, 2] = np.where(points[source, :, 2] > 0, inputs.HELD, 0)
  np.testing.assert_allclose(inputs.hold_lost(points, seen), wanted)
  clip = jnp.asarray(points[None])
  enough = inputs.shows_enough(clip)
  np.testing.assert_array_equal(enough[0], seen)
  in_training = inputs.hold_lost(clip, enough)[0]
  np.testing.assert_allclose(in_training, wanted)


def test_frames_between_frames():
  points = np.zeros((3, 2, 3), np.float32)
  points[:, 0] = [(0, 0, 1), (4, 8, 0.5), (8, 8, 1)]
  points[1:, 1] = [(2, 2, 1), (3, 3, 1)]  # It is not in the first frame.
  found = clips.between(points, 4)
  assert found.shape == (9, 2, 3)
  np.testing.assert_allclose(found[::4], points)
  np.testing.assert_allclose(found[1, 0], (1, 2, 0.5))
  np.testing.assert_allclose(found[1, 1], 0)
  np.testing.assert_allclose(found[6, 1], (2.5, 2.5, 1))


@pytest.mark.parametrize('rate', RATES)
def test_every_frame_gets_a_pose_at_every_rate(lifter, keypoints, rate):
  lifted = lifter.lift(keypoints, SIZE, fps=rate)
  assert lifted.poses.shape == (70, 16, 3) and lifted.num_missing == 0
  assert np.isfinite(lifted.poses).all() and np.isfinite(lifted.errors).all()
  # Every n-th frame by itself is a clip of the network's own rate.
  step, _ = clips.times_of(rate, 10.0)
  if step > 1:
    poses = np.empty_like(lifted.poses)
    for phase in range(step):
      part = lifter.lift(keypoints[phase::step], SIZE, fps=rate / step)
      poses[phase::step] = part.poses
    np.testing.assert_allclose(steady(poses, rate), lifted.poses, atol=1e-4)


@pytest.mark.parametrize(
  'count', [1, 2, 33, pytest.param(170, marks=pytest.mark.slow)]
)
def test_clips_of_any_length(count):
  lifter, keypoints = make_lifter(), of_frames(count)
  lifted = lifter.lift(keypoints, SIZE, fps=10)
  assert np.isfinite(lifted.poses).all()
  together = lifter.lift(np.stack([keypoints, keypoints]), SIZE, fps=10)
  np.testing.assert_array_equal(together.poses[0], lifted.poses)
  np.testing.assert_array_equal(together.poses[1], lifted.poses)


def test_one_frame_needs_no_clip(lifter, keypoints):
  alone = lifter.lift(keypoints[0], SIZE)
  assert alone.poses.shape == (16, 3)
  clip = lifter.lift(keypoints[:1], SIZE)
  np.testing.assert_array_equal(alone.poses, clip.poses[0])


def people_in(numbers, keypoints, lifter, fps=25.0, name=1, **lens):
  frames = {
    n: [Detection(found, name)]
    for n, found in zip(numbers, keypoints, strict=True)
  }
  clip = Clip('walk', track(frames), fps, SIZE, joint_set='coco')
  return lift_clip(lifter, clip, **lens).people


@pytest.mark.parametrize('gap', [1, 7, 30])
def test_people_are_whole_in_every_frame(lifter, gap):
  numbers = np.array([*range(10, 30), *range(30 + gap, 70)])
  keypoints = of_frames(70)[numbers]
  [person] = people_in(numbers, keypoints, lifter)
  assert person.frames.tolist() == list(range(10, 70))
  assert np.isfinite(person.poses).all()
  lost = slice(20, 20 + gap)
  assert (person.keypoints[lost] == 0).all()


@pytest.mark.slow
def test_nobody_has_a_place_where_nothing_is_seen():
  numbers = np.array([*range(12), *range(17, 40)])
  filmed = film_level(standing(40), SIZE)
  keypoints = filmed.keypoints('coco')[numbers]
  sure = np.ones_like(keypoints[..., :1])
  [person] = people_in(
    numbers,
    np.concatenate([keypoints, sure], axis=-1),
    Lifter.load('cmu-video'),
    focal_length=filmed.focal,
  )
  assert np.isfinite(person.poses).all()
  lost = np.isnan(person.places).all(axis=-1)
  assert np.flatnonzero(lost).tolist() == list(range(12, 17))


def test_who_is_away_for_long_has_no_poses_meanwhile(lifter):
  keypoints = of_frames(40)
  for away in (31, 10**15):
    numbers = [*range(20), *range(20 + away, 40 + away)]
    [person] = people_in(numbers, keypoints, lifter)
    assert person.frames.tolist() == numbers
    for half in (slice(20), slice(20, 40)):
      alone = lifter.lift(keypoints[half], SIZE, fps=25).poses
      np.testing.assert_array_equal(person.poses[half], alone)


@pytest.mark.parametrize('step', [2, 10])
def test_keypoints_of_every_nth_frame(lifter, step):
  keypoints = of_frames(12)
  numbers = step * np.arange(12) + 3
  [person] = people_in(numbers, keypoints, lifter, fps=30.0)
  assert person.frames.tolist() == numbers.tolist()
  alone = lifter.lift(keypoints, SIZE, fps=30 / step).poses
  np.testing.assert_array_equal(person.poses, alone)


def test_unnumbered_people_are_whole_too(lifter):
  numbers = [*range(12), *range(20, 30)]
  keypoints = np.repeat(of_frames(1), 22, axis=0)
  [person] = people_in(numbers, keypoints, lifter, name=None)
  assert person.frames.tolist() == list(range(30))


def test_time_helps_from_five_frames_on(lifter):
  for rate, frames in ((10, 5), (30, 13), (29.97, 13), (120, 49), (5, 5)):
    assert clips.is_long(frames, rate, lifter.model)
    assert not clips.is_long(frames - 1, rate, lifter.model)
  assert clips.is_long(5, 2.5, lifter.model)
  assert not clips.is_long(1000, 2.4, lifter.model)


@pytest.mark.slow
@pytest.mark.parametrize('rate', [24, 25, 29.97, 30, 50, 60, 120])
def test_poses_do_not_jump_from_phase_to_phase(rate):
  """By the weights in the box; neighbouring frames are of different phases."""
  walk = next(iter(generate(0)['S1'].values()))
  times = np.arange(0, len(walk) - 1, 10 / rate)
  poses = level(CubicSpline(np.arange(len(walk)), walk)(times))
  filmed = film_level(poses, SIZE)
  filmed = dataclasses.replace(filmed, roots=filmed.roots * 0 + (0, 0, 6))
  exact = filmed.keypoints('coco')
  noise = np.random.default_rng(0).normal(size=exact.shape) * 3
  errors: dict[tuple[str, str], tuple[float, float]] = {}
  for name in ('cmu', 'cmu-video'):
    lifter = Lifter.load(name)
    for kind, keypoints in (('exact', exact), ('noisy', exact + noise)):
      error = lifter(keypoints, SIZE, fps=rate) - poses
      error = np.linalg.norm(np.diff(error, 2, axis=0), axis=-1)
      errors[name, kind] = error.mean(), error.max()
  # Noise shakes them a tenth as much as single frames, or less; and without
  # noise they move better than single frames, and than a pose that never moves.
  for number in (0, 1):
    noisy = errors['cmu', 'noisy'][number]
    assert errors['cmu-video', 'noisy'][number] < noisy / (10, 5)[number]
    exact = errors['cmu', 'exact'][number]
    assert errors['cmu-video', 'exact'][number] < exact
  frozen = np.linalg.norm(np.diff(poses, 2, axis=0), axis=-1).mean()
  assert errors['cmu-video', 'exact'][0] < frozen


def test_blending_by_loops():
  poses = np.random.default_rng(0).normal(size=(8, 16, 3))
  poses -= poses[:, H36M.root, None]
  found = clips.blend(poses, 3)
  bones = bone_vectors(poses, H36M)
  blended = bone_vectors(found, H36M)
  for frame in range(2, 6):
    around = range(frame - 2, frame + 3)
    weights = [(3 - abs(other - frame)) / 9 for other in around]
    for bone in range(15):
      mean = sum(
        w * bones[t, bone] for w, t in zip(weights, around, strict=True)
      )
      length = sum(
        w * np.linalg.norm(bones[t, bone])
        for w, t in zip(weights, around, strict=True)
      )
      wanted = mean / np.linalg.norm(mean) * length
      np.testing.assert_allclose(blended[frame, bone], wanted)
  np.testing.assert_allclose(found[[0, -1]], poses[[0, -1]])
  np.testing.assert_array_equal(clips.blend(poses, 1), poses)
  np.testing.assert_array_equal(clips.blend(poses[:1], 3), poses[:1])


@pytest.mark.parametrize('count', [2, 4, 30])
def test_blended_poses_stay_within_the_bounds(count):
  rng = np.random.default_rng(0)
  poses = np.array(bound(jnp.asarray(rng.normal(size=(count, 16, 3)))))
  poses[1::2] = -poses[0]  # Bones that point in opposite directions.
  for step in (2, 3, 12):
    bones = bone_vectors(clips.blend(poses, step), H36M)
    lengths = np.linalg.norm(bones, axis=-1)
    assert (lengths <= 2 * MEDIAN_LENGTHS).all()
    assert (lengths.sum(axis=-1) >= 0.5 * MEDIAN_LENGTHS.sum()).all()


@pytest.mark.parametrize('count', [2, 3, 40])
def test_blending_leaves_a_steady_motion(count):
  pose = standing(1)[0] - standing(1)[0, H36M.root]
  # All bones grow by the same length in each frame, so that none turns.
  poses = pose * (1 + 0.1 * np.arange(count))[:, None, None]
  np.testing.assert_allclose(clips.blend(poses, 6), poses, atol=1e-12)


@pytest.mark.parametrize(
  'rate', [0, -1, float('nan'), 1e9, 'fast', True, None, np.array([30.0])]
)
def test_rates_that_cannot_be(lifter, keypoints, rate):
  with pytest.raises(SettingError, match='frames per second'):
    lifter.lift(keypoints, SIZE, fps=rate)
