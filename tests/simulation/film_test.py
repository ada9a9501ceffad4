"""What is filmed: bodies, cameras, points, detectors, and the input of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filmed import film_level, standing

from semgcn_jax.config import FilmingConfig
from semgcn_jax.config.presets import preset
from semgcn_jax.geometry.joint_sets import (
  JOINT_SETS,
  derive_joints,
  source_table,
)
from semgcn_jax.geometry.rotations import about_axis, about_vector
from semgcn_jax.geometry.skeletons import H36M, bone_vectors, mirror
from semgcn_jax.models.inputs import (
  make_inputs,
  mirror_inputs,
)
from semgcn_jax.simulation import detector_noise, points
from semgcn_jax.simulation.bodies import vary_bodies
from semgcn_jax.simulation.cameras import NEAREST, level, random_views
from semgcn_jax.simulation.film import film, film_clips

KEY = jax.random.PRNGKey(0)
PLAIN = FilmingConfig(body_scale=0.0, bone_scale=0.0, limb_turn=0.0)
MODEL = preset('cmu_wild').model


@pytest.fixture(scope='module')
def poses():
  return standing(200)


def lengths(poses):
  return np.linalg.norm(bone_vectors(np.asarray(poses), H36M), axis=-1)


def varied(poses, **settings):
  """Poses of bodies that vary by these settings alone."""
  config = dataclasses.replace(PLAIN, **settings)
  return np.asarray(vary_bodies(KEY, jnp.asarray(poses), H36M, config))


def test_level_poses_stand_upright(poses):
  rotation = np.asarray(about_vector(jnp.array([[0.3, 0.2, -0.4]])))[0]
  tilted = poses @ rotation.T
  up = np.tile(rotation @ (0, -1, 0), (len(poses), 1))
  upright = np.asarray(level(jnp.asarray(tilted), jnp.asarray(up)))
  np.testing.assert_allclose(upright[..., 1], poses[..., 1], atol=1e-5)
  np.testing.assert_allclose(lengths(upright), lengths(poses), atol=1e-5)


def test_parts_of_bodies_vary_each_for_itself(poses):
  ratio = lengths(varied(poses, part_scale=0.2)) / lengths(poses)
  bones = [(H36M.joints[p], H36M.joints[c]) for p, c in H36M.bones]
  assert ratio.max() < 1.2 + 1e-4 and ratio.min() > 1 / 1.2 - 1e-4
  assert ratio.max() > 1.17 and ratio.min() < 1 / 1.17
  spine, thorax, head, left, right, shank = (
    ratio[:, bones.index(bone)]
    for bone in (
      *(('Pelvis', 'Spine'), ('Spine', 'Thorax'), ('Thorax', 'Head')),
      *(('LHip', 'LKnee'), ('RHip', 'RKnee'), ('LKnee', 'LAnkle')),
    )
  )
  np.testing.assert_allclose(spine, thorax, rtol=1e-4)
  np.testing.assert_allclose(left, right, rtol=1e-4)
  for other in (head, left, shank):
    assert abs(np.corrcoef(spine, other)[0, 1]) < 0.25
  assert abs(np.corrcoef(left, shank)[0, 1]) < 0.25


def test_some_bodies_are_as_detectors_mark_them(poses):
  ratio = lengths(varied(poses, detected_bodies=0.5)) / lengths(poses)
  changed = np.abs(ratio - 1).max(axis=1) > 1e-4
  assert 0.35 < changed.mean() < 0.65
  ends = [H36M.joints[child] for _, child in H36M.bones]
  hips, wrists, spine = (
    ratio[changed][:, ends.index(name)] for name in ('LHip', 'LWrist', 'Spine')
  )
  assert 1 <= hips.min() + 1e-5 and 1.1 < hips.mean() and hips.max() < 1.401
  assert 1 <= spine.min() + 1e-5 and spine.max() < 1.301
  assert 0.799 < wrists.min() and wrists.max() <= 1 + 1e-5


def test_bodies_are_left_alone_where_nothing_varies(poses):
  np.testing.assert_allclose(varied(poses), poses, atol=1e-6)


def test_bodies_vary_within_their_ranges(poses):
  ratio = lengths(varied(poses, body_scale=0.2)) / lengths(poses)
  np.testing.assert_allclose(ratio, ratio[:, :1].repeat(15, 1), rtol=1e-4)
  assert 1 / 1.2 - 1e-4 < ratio.min() < 0.9 and 1.1 < ratio.max() < 1.2 + 1e-4
  ratio = lengths(varied(poses, bone_scale=0.1)) / lengths(poses)
  ends = [child for _, child in H36M.bones]
  for left, right in zip(H36M.left, H36M.right, strict=True):
    np.testing.assert_allclose(
      ratio[:, ends.index(left)], ratio[:, ends.index(right)], rtol=1e-4
    )
  assert np.ptp(ratio[0]) > 0.01


def test_turned_limbs_keep_their_lengths_and_the_trunk(poses):
  turned = varied(poses, limb_turn=30.0)
  np.testing.assert_allclose(lengths(turned), lengths(poses), atol=1e-5)
  trunk = [H36M.joints.index(n) for n in ('Spine', 'Thorax', 'LHip', 'RHip')]
  np.testing.assert_allclose(turned[:, trunk], poses[:, trunk], atol=1e-5)
  moved = np.abs(turned - poses).max(axis=(1, 2)) > 1e-3
  assert 0.3 < moved.mean() < 0.7  # Half of the poses.


def test_limbs_of_other_poses(poses):
  mixed = varied(poses, mix_limbs=1.0)
  np.testing.assert_allclose(lengths(mixed), lengths(poses), atol=1e-5)
  trunk = [H36M.joints.index(n) for n in ('Spine', 'Thorax', 'Head', 'LHip')]
  np.testing.assert_allclose(mixed[:, trunk], poses[:, trunk], atol=1e-5)
  # The height of a limb's end above its top is that of another pose's, scaled.
  assert np.abs(mixed - poses).max() > 0.1


@pytest.mark.slow
def test_views_have_everybody_in_front_and_in_the_image(poses):
  config = dataclasses.replace(PLAIN, film_crop=0.0, film_off_axis=0.0)
  views = random_views(KEY, jnp.asarray(poses), config)
  seen = np.einsum('bij,bkj->bki', views.rotation, poses)
  places = seen + np.asarray(views.root)[:, None]
  assert places[..., 2].min() >= NEAREST - 1e-4
  by_loop = [
    [
      focal * x / z + center
      for (x, z), center in zip(((p[0], p[2]), (p[1], p[2])), c, strict=True)
    ]
    for pose, focal, c in zip(places, views.focal, views.center, strict=True)
    for p in pose
  ]
  pixels = np.asarray(views.project(jnp.asarray(places)))
  np.testing.assert_allclose(
    pixels.reshape(-1, 2), np.array(by_loop, np.float32), rtol=1e-4, atol=0.05
  )
  # Where all joints are as far away as the pelvis, all are in the image.
  flat = np.asarray(views.root)[:, None]
  flat = (seen[..., :2] + flat[..., :2]) / flat[..., 2:]
  flat = flat * np.asarray(views.focal)[:, None, None]
  flat = flat + np.asarray(views.center)[:, None]
  size = np.asarray(views.image_size)
  fits = np.ptp(flat, axis=1) <= size
  assert fits.mean() > 0.95  # Others are as near as they may be.
  inside = (flat >= -0.1) & (flat <= size[:, None] + 0.1)
  assert inside.all(axis=1)[fits].all()
  assert np.ptp(np.asarray(views.focal)) > 300


def test_sources_are_the_joint_sets():
  for name in JOINT_SETS:
    table = source_table([JOINT_SETS[name]], points.OF_PEOPLE.names)[0]
    for cells, source in zip(table, JOINT_SETS[name].sources, strict=True):
      wanted = [JOINT_SETS[name].points[index] for index in source]
      assert [
        points.OF_PEOPLE.names[cell] for cell in cells if cell >= 0
      ] == wanted


def test_derived_joints_by_loops():
  rng = np.random.default_rng(0)
  found = rng.uniform(0, 100, (20, 17, 3)).astype(np.float32)
  found[..., 2] = np.where(rng.random((20, 17)) < 0.3, 0, rng.random((20, 17)))
  table = source_table([JOINT_SETS['coco']], JOINT_SETS['coco'].points)[0]
  joints = np.asarray(
    derive_joints(jnp.asarray(found), jnp.asarray(np.tile(table, (20, 1, 1))))
  )
  for pose, derived in zip(found, joints, strict=True):
    for source, joint in zip(JOINT_SETS['coco'].sources, derived, strict=True):
      there = [pose[i] for i in source if pose[i, 2] > 0]
      confidence = sum(pose[i, 2] for i in source) / len(source)
      np.testing.assert_allclose(joint[2], confidence, rtol=1e-5)
      xy = np.mean([p[:2] for p in there], axis=0) if there else (0, 0)
      np.testing.assert_allclose(joint[:2], xy, rtol=1e-5)


def detect(config, count=400):
  rng = np.random.default_rng(0)
  pixels = rng.uniform(200, 800, (count, len(points.OF_PEOPLE.names), 2))
  pixels = jnp.asarray(np.float32(pixels))
  size = jnp.full((count, 2), 1000.0)
  [found] = np.asarray(
    detector_noise.detect(KEY, pixels[:, None], size, config)
  ).swapaxes(0, 1)
  return np.asarray(pixels), found


@pytest.mark.slow
def test_a_clean_detector_is_exact():
  config = FilmingConfig(clean=1.0, limb_gaps=0.0, lower_gaps=0.0)
  pixels, found = detect(config)
  np.testing.assert_array_equal(found[..., :2], pixels)
  assert (found[..., 2] == 1).all()


def test_noise_gaps_and_confidence():
  config = FilmingConfig(
    clean=0.0, outliers=0.0, swaps=0.0, limb_gaps=0.0, lower_gaps=0.0, gaps=0.1
  )
  pixels, found = detect(config)
  there = found[..., 2] > 0
  assert abs(there.mean() - 0.9) < 0.02
  off = np.linalg.norm(found[..., :2] - pixels, axis=-1)[there]
  # The noise is 1.5% of 600 pixels along each axis, in the median.
  assert 8 < np.median(off) < 14
  assert np.corrcoef(off, found[..., 2][there])[0, 1] < -0.2


def test_a_hidden_lower_half():
  config = FilmingConfig(clean=0.0, gaps=0.0, limb_gaps=0.0, lower_gaps=1.0)
  _, found = detect(config)
  for number, name in enumerate(points.OF_PEOPLE.names):
    low = name.endswith(('hip', 'Hip', 'knee', 'Knee', 'ankle', 'Ankle'))
    low |= name == 'Pelvis'
    assert (found[:, number, 2] == 0).all() == low, name


def test_exchanged_sides():
  config = FilmingConfig(
    clean=0.0, detector_noise=0.0, gaps=0.0, limb_gaps=0.0, lower_gaps=0.0,
    swaps=1.0,
  )  # fmt: skip
  pixels, found = detect(config)
  left, right = (
    points.OF_PEOPLE.names.index(f'{s}_knee') for s in ('left', 'right')
  )
  np.testing.assert_allclose(found[:, left, :2], pixels[:, right], atol=1e-3)


def test_whole_sides_are_exchanged():
  config = FilmingConfig(
    clean=0.0, detector_noise=0.0, gaps=0.0, limb_gaps=0.0, lower_gaps=0.0,
    swaps=0.0, side_swaps=0.3,
  )  # fmt: skip
  pixels, found = detect(config)
  pairs = np.array(points.OF_PEOPLE.pairs)
  xy = found[..., :2]
  swapped = np.abs(xy[:, pairs] - pixels[:, pairs[:, ::-1]]).max((2, 3)) < 1e-3
  kept = np.abs(xy[:, pairs] - pixels[:, pairs]).max((2, 3)) < 1e-3
  np.testing.assert_array_equal(swapped, ~kept)
  # All pairs of a person, or none.
  np.testing.assert_array_equal(swapped.all(axis=1), swapped.any(axis=1))
  assert 0.2 < swapped.mean() < 0.4


def test_marks_turn_with_the_body(poses):
  config = dataclasses.replace(PLAIN, mark_offset=0.05)
  rotation = np.asarray(about_vector(jnp.array([[0.3, 1.2, -0.4]])))[0]
  first, second = (
    np.asarray(points.mark(KEY, jnp.asarray(p), config))
    for p in (poses, (poses @ rotation.T).astype('f'))
  )
  np.testing.assert_allclose(first @ rotation.T, second, atol=1e-4)
  wrist = points.OF_PEOPLE.names.index('left_wrist')
  off = first[:, wrist] - poses[:, H36M.joints.index('LWrist')]
  assert 0.03 < np.linalg.norm(off, axis=-1).mean() < 0.15


def test_outside_of_the_image_nothing_is_found():
  pixels = jnp.full((400, 1, len(points.OF_PEOPLE.names), 2), 500.0)
  pixels = pixels.at[:, :, 0, 0].set(-1)
  found = detector_noise.detect(
    KEY, pixels, jnp.full((400, 2), 1000.0), FilmingConfig(clean=1.0)
  )
  assert (np.asarray(found)[:, :, 0] == 0).all()


def test_values_last_and_keep_their_distribution():
  rng = np.random.default_rng(0)
  values = jnp.asarray(rng.uniform(size=(4000, 12, 1)))
  held = np.asarray(
    detector_noise.hold(KEY, values, jnp.full((4000, 1, 1), 4.0))
  )
  same = held[:, 1:] == held[:, :-1]
  assert abs(same.mean() - 0.75) < 0.01
  assert abs((held[:, -1] < 0.3).mean() - 0.3) < 0.03
  once = detector_noise.hold(KEY, values, jnp.ones((4000, 1, 1)))
  np.testing.assert_array_equal(once, values)


def test_noise_is_like_that_of_the_frame_before():
  rng = np.random.default_rng(0)
  noise = jnp.asarray(rng.normal(size=(4000, 8, 2, 2)))
  found = np.asarray(
    detector_noise.correlate(noise, jnp.full((4000, 1, 1), 0.6))
  )
  np.testing.assert_allclose(found[:, 0], noise[:, 0], rtol=1e-6)
  np.testing.assert_allclose(found.std(axis=0), 1, atol=0.05)
  first, second = found[:, 3].ravel(), found[:, 4].ravel()
  assert abs(np.corrcoef(first, second)[0, 1] - 0.6) < 0.02


@pytest.mark.slow
def test_in_clips_gaps_last_and_whole_frames_are_lost():
  config = FilmingConfig(
    clean=0.0, limb_gaps=0.0, lower_gaps=0.0, gaps=0.1, lost=0.2, lasting=8.0
  )
  pixels = jnp.full((300, 16, len(points.OF_PEOPLE.names), 2), 500.0)
  pixels = pixels.at[..., 0].add(jnp.arange(len(points.OF_PEOPLE.names)))
  size = jnp.full((300, 2), 1000.0)
  found = (
    np.asarray(detector_noise.detect(KEY, pixels, size, config))[..., 2] > 0
  )
  empty = ~found.any(axis=-1)
  assert abs(empty.mean() - 0.2) < 0.04
  assert abs(found[~empty].mean() - 0.9) < 0.02
  # What is found is likelier to be found in the next frame, too.
  gaps = ~found[:, :-1] & ~empty[:, :-1, None] & ~empty[:, 1:, None]
  assert 0.5 < (~found[:, 1:])[gaps].mean() < 0.95


@pytest.mark.slow
def test_a_filmed_clip_is_a_person_before_one_camera(poses):
  config = dataclasses.replace(
    PLAIN, clean=1.0, limb_gaps=0.0, lower_gaps=0.0, film_crop=0.0,
    mark_offset=0.0, known_focal=1.0, film_off_axis=0.0, film_pan=0.0,
    film_follow=0.0,
  )  # fmt: skip
  clip = np.stack([poses[:5]] * 4, axis=0)
  roots = np.zeros((4, 5, 3), np.float32)
  roots[..., 0] = np.linspace(-0.5, 0.5, 5)
  exact = dataclasses.replace(MODEL, input_joints=('h36m',))
  inputs, targets = film_clips(
    KEY, clip, roots, jnp.full(4, 10.0), H36M, exact, config
  )
  assert inputs.shape == (4, 5, 16, exact.input_channels)
  np.testing.assert_allclose(
    lengths(targets), lengths(clip), rtol=1e-4, atol=1e-5
  )
  # A frame is the pose seen by the camera of its clip: the same in two frames,
  # up to the turn towards the person.
  for one, other, pose, moved in zip(
    targets[:, 0], targets[:, 4], clip[:, 0], clip[:, 4], strict=True
  ):
    assert rotation_between(pose, one) == pytest.approx(1, abs=1e-4)
    assert rotation_between(moved, other) == pytest.approx(1, abs=1e-4)
  again, _ = film_clips(
    KEY, clip, roots, jnp.full(4, 10.0), H36M, exact, config
  )
  np.testing.assert_array_equal(inputs, again)


def rotation_between(first, second):
  """The share of a pose that a rotation of another explains."""
  u, s, v = np.linalg.svd(np.asarray(second).T @ np.asarray(first))
  s[-1] *= np.sign(np.linalg.det(u @ v))
  return s.sum() / np.linalg.norm(first) / np.linalg.norm(second)


def inputs_of(filmed, name='coco', shift=(0, 0), focal=0.0):
  keypoints = filmed.keypoints(name) + np.array(shift)
  keypoints = np.concatenate(
    [keypoints, np.ones_like(keypoints[..., :1])], axis=-1
  )
  count = len(keypoints)
  table = source_table([JOINT_SETS[name]], JOINT_SETS[name].points)
  joints = derive_joints(
    jnp.asarray(keypoints, jnp.float32),
    jnp.asarray(np.tile(table, (count, 1, 1))),
  )
  size = jnp.tile(jnp.array(filmed.size, jnp.float32), (count, 1))
  number = MODEL.input_joints.index(name)
  return make_inputs(
    joints,
    jnp.full(count, number),
    size,
    jnp.full(count, focal),
    size / 2,
    MODEL,
  )


@pytest.mark.slow
def test_a_turned_camera_sees_the_same(poses):
  """With the focal length known, where a person stands does not matter."""
  filmed = film_level(poses[:20], (1280, 720))
  inputs, rotation = inputs_of(filmed, focal=filmed.focal)
  turn = np.asarray(about_axis(1, jnp.full(20, 0.3)))
  turned = dataclasses.replace(
    filmed,
    poses=np.float32(np.einsum('bij,bkj->bki', turn, filmed.poses)),
    roots=np.einsum('bij,bj->bi', turn, filmed.roots),
  )
  others, other_rotation = inputs_of(turned, focal=filmed.focal)
  # The face differs: it is placed by the pose, which has turned along.
  x_and_y = np.asarray(inputs)[..., :2]
  seen = np.asarray(others)[..., :2]
  # The two cameras may differ by a roll about the ray.
  for first, second in zip(x_and_y, seen, strict=True):
    u, _, v = np.linalg.svd(second.T @ first)
    np.testing.assert_allclose(first, second @ (u @ v), atol=0.03)
  assert np.isfinite(rotation).all() and np.isfinite(other_rotation).all()


@pytest.mark.slow
def test_inputs_tell_what_they_should(poses):
  filmed = film_level(poses[:20], (1280, 720))
  inputs, rotation = inputs_of(filmed)
  assert inputs.shape == (20, 16, MODEL.input_channels)
  sets = np.asarray(inputs)[..., 8:]
  assert (sets.argmax(-1) == MODEL.input_joints.index('coco')).all()
  assert (np.asarray(inputs)[..., 7] == 0).all()  # The lens is not known.
  known, _ = inputs_of(filmed, focal=filmed.focal)
  assert (np.asarray(known)[..., 7] == 1).all()
  np.testing.assert_allclose(
    np.einsum('bij,bkj->bik', rotation, rotation),
    np.tile(np.eye(3), (20, 1, 1)),
    atol=1e-5,
  )


def test_mirrored_inputs_are_those_of_the_mirrored_people(poses):
  filmed = film_level(poses[:20], (1280, 720))
  mirrored = dataclasses.replace(
    filmed,
    poses=np.float32(mirror(filmed.poses, H36M)),
    roots=filmed.roots * (-1, 1, 1),
  )
  inputs, _ = inputs_of(filmed, 'h36m')
  wanted, _ = inputs_of(mirrored, 'h36m')
  np.testing.assert_allclose(mirror_inputs(inputs, H36M), wanted, atol=1e-4)


@pytest.mark.slow
def test_film_is_random_by_its_key_alone(poses):
  config = FilmingConfig()
  make = jax.jit(lambda key: film(key, poses, H36M, MODEL, config))
  inputs, targets = make(KEY)
  again, _ = make(KEY)
  other, _ = make(jax.random.PRNGKey(1))
  np.testing.assert_array_equal(inputs, again)
  assert np.abs(np.asarray(inputs) - np.asarray(other)).max() > 0.1
  assert np.isfinite(inputs).all() and np.isfinite(targets).all()
  assert inputs.shape == (200, 16, MODEL.input_channels)
  np.testing.assert_allclose(targets[:, 0], 0, atol=1e-6)
