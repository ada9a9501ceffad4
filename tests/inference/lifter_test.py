"""The Lifter, with the weights in the box."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filmed import film_level, standing

from semgcn_jax import Lifter
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.evaluation import metrics
from semgcn_jax.geometry.joint_sets import JOINT_SETS, MIN_KEYPOINTS
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.inference import bounds
from semgcn_jax.runs.networks import Network
from semgcn_jax.runs.progress import Progress
from semgcn_jax.simulation.points import OF_PEOPLE, mark
from semgcn_jax.training.state import create_train_state

SIZE = (1280, 720)


@pytest.fixture(scope='module')
def lifter():
  return Lifter.load('cmu')


@pytest.fixture(scope='module')
def filmed():
  """Poses `[N, 16, 3]` in the camera frame, and their places and keypoints."""
  return film_level(standing(40), SIZE)


def mean_error(first, second):
  return 1000 * np.linalg.norm(first - second, axis=-1).mean()


@pytest.mark.parametrize('name', JOINT_SETS)
def test_every_joint_set_is_lifted(lifter, filmed, name):
  keypoints = filmed.keypoints(name)
  poses = lifter(keypoints, SIZE, joints=name)
  assert poses.shape == (40, 16, 3)
  # The synthetic body is like nobody's: its size and its lean cannot be known.
  aligned = 1000 * np.mean(metrics.p_mpjpe(poses, filmed.poses))
  assert aligned < 85
  # In another order the joints make no such poses.
  used = sorted({i for s in JOINT_SETS[name].sources for i in s})
  keypoints[:, used] = keypoints[:, used[::-1]]
  poses = lifter(keypoints, SIZE, joints=name, check=False)
  assert 1000 * np.mean(metrics.p_mpjpe(poses, filmed.poses)) > 2 * aligned


def test_joint_sets_agree_on_the_same_people(lifter, filmed):
  for first, second in (
    *(('coco', 'mediapipe'), ('coco', 'openpose_18'), ('h36m', 'h36m_17')),
    *(('coco', 'body_25'), ('h36m', 'h36m_32')),
  ):
    poses = [
      lifter(filmed.keypoints(name), SIZE, joints=name)
      for name in (first, second)
    ]
    assert mean_error(*poses) < 15, (first, second)


def test_the_order_and_the_number_of_poses_do_not_matter(lifter, filmed):
  keypoints = filmed.keypoints('coco')
  poses = lifter(keypoints, SIZE)
  order = np.random.default_rng(0).permutation(len(keypoints))
  np.testing.assert_allclose(
    lifter(keypoints[order], SIZE), poses[order], atol=1e-5
  )
  np.testing.assert_allclose(lifter(keypoints[3], SIZE), poses[3], atol=1e-5)
  split = lifter(keypoints.reshape(4, 10, 17, 2), SIZE)
  np.testing.assert_allclose(split.reshape(40, 16, 3), poses, atol=1e-5)
  assert lifter(keypoints[:0], SIZE).shape == (0, 16, 3)


def test_too_few_keypoints_are_nan_and_counted(lifter, filmed):
  keypoints = np.concatenate(
    [filmed.keypoints('coco'), np.ones((40, 17, 1))], axis=-1
  )
  keypoints[2, MIN_KEYPOINTS - 1 :, 2] = 0
  keypoints[5, MIN_KEYPOINTS - 1 :, 0] = np.nan
  keypoints[7, MIN_KEYPOINTS:, 2] = 0
  lifted = lifter.lift(keypoints, SIZE)
  missing = np.isnan(lifted.poses).all(axis=(1, 2))
  assert np.flatnonzero(missing).tolist() == [2, 5]
  assert lifted.num_missing == 2
  assert np.isfinite(lifted.poses[~missing]).all()


def test_a_low_confidence_is_not_found(lifter, filmed):
  keypoints = np.concatenate(
    [filmed.keypoints('coco'), np.ones((40, 17, 1))], axis=-1
  )
  keypoints[:, 9, 2] = 0.2
  gone = keypoints.copy()
  gone[:, 9] = 0
  np.testing.assert_array_equal(
    lifter(keypoints, SIZE, min_confidence=0.5), lifter(gone, SIZE)
  )


def test_the_expected_error_grows_with_gaps(lifter, filmed):
  keypoints = np.concatenate(
    [filmed.keypoints('coco'), np.ones((40, 17, 1))], axis=-1
  )
  whole = lifter.lift(keypoints, SIZE).errors
  keypoints[:, 9] = 0  # The left wrist.
  gap = lifter.lift(keypoints, SIZE).errors
  wrist = H36M.joints.index('LWrist')
  assert gap[:, wrist].mean() > whole[:, wrist].mean()


def test_place_finds_the_pelvis(lifter, filmed):
  keypoints = filmed.keypoints('h36m')
  place = lifter.place(
    filmed.poses, keypoints, SIZE, 'h36m', focal_length=filmed.focal
  )
  np.testing.assert_allclose(place, filmed.roots, atol=1e-2)
  with pytest.raises(UserError, match='`focal_length` or `field_of_view`'):
    lifter.place(filmed.poses, keypoints, SIZE, 'h36m')


def test_the_field_of_view_is_another_form_of_the_focal_length(lifter, filmed):
  keypoints = filmed.keypoints('coco')
  degrees = 2 * np.degrees(np.arctan(SIZE[0] / 2 / filmed.focal))
  np.testing.assert_allclose(
    lifter(keypoints, SIZE, focal_length=filmed.focal),
    lifter(keypoints, SIZE, field_of_view=degrees),
    atol=1e-4,
  )


def test_the_height_sets_the_scale(lifter, filmed):
  keypoints = filmed.keypoints('coco')
  small, tall = (lifter(keypoints, SIZE, height=h) for h in (1.0, 2.0))
  ratio = np.linalg.norm(tall, axis=-1) / np.linalg.norm(small + 1e-9, axis=-1)
  np.testing.assert_allclose(ratio[:, 1:], (2 - 0.08) / (1 - 0.08), rtol=1e-4)


def heights(poses):
  """How tall the people of poses would stand, by hand, `[...]`."""

  def length(*joints):
    places = poses[..., [H36M.joints.index(joint) for joint in joints], :]
    return np.linalg.norm(np.diff(places, axis=-2), axis=-1).sum(axis=-1)

  legs = [length(f'{side}Hip', f'{side}Knee', f'{side}Ankle') for side in 'LR']
  trunk = length('Pelvis', 'Spine', 'Thorax', 'Head')
  return trunk + np.mean(legs, axis=0) + 0.08


def test_a_person_has_one_height_over_a_clip(lifter, filmed):
  keypoints = filmed.keypoints('coco')[:6]
  keypoints = np.insert(keypoints, 2, 1.0, axis=-1)
  keypoints[2, :, 2] = 0  # Nobody is there.
  free = lifter.lift(keypoints, SIZE)
  tall = lifter.lift(keypoints, SIZE, height=1.8)
  known = [0, 1, 3, 4, 5]
  factor = np.median((1.8 - 0.08) / (heights(free.poses[known]) - 0.08))
  np.testing.assert_allclose(tall.poses, free.poses * factor, rtol=1e-5)
  np.testing.assert_allclose(tall.errors, free.errors * factor, rtol=1e-5)
  # Clips beside each other are people beside each other.
  halves = lifter(keypoints.reshape(2, 3, 17, 3), SIZE, height=1.8)
  for half, rows in zip(halves, (slice(3), slice(3, 6)), strict=True):
    alone = lifter(keypoints[rows], SIZE, height=1.8)
    np.testing.assert_allclose(half, alone, rtol=1e-4, atol=1e-5)
  single = lifter(keypoints[0], SIZE, height=1.8)
  assert heights(single) == pytest.approx(1.8, abs=1e-4)
  lost = lifter(keypoints[2], SIZE, height=1.8)
  assert np.isnan(lost).all()


def test_heights_are_numbers_in_their_range(lifter, filmed):
  keypoints = filmed.keypoints('coco')[:2]
  for height in (3, 0.3, np.float32(1.7), np.int64(2)):
    poses = lifter(keypoints, SIZE, height=height)
    assert np.median(heights(poses)) == pytest.approx(float(height), rel=1e-3)
  for height in (True, 3.01, 0.29, np.nan, '2', np.ones((2, 3))):
    with pytest.raises(SettingError, match='must be from 0.3 to 3') as error:
      lifter(keypoints, SIZE, height=height)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'change, options, message',
  [
    (lambda k: k / 1280, {}, 'normalized'),
    (lambda k: k + 3000, {}, r'_\w+ at .*, far outside'),
    (lambda k: k[:, :16], {}, '16 fits h36m, mpii'),
    (lambda k: k[:, :5], {}, 'no joint set has 5'),
    (lambda k: (0, 720) - k * (-1, 1), {}, 'y must point down'),
    (lambda k: np.zeros(0), {}, r'shape \(0,\)'),
    (lambda k: 'many', {}, 'are not an array'),
    (lambda k: k, {'joints': 'spider'}, 'choose from'),
    (lambda k: k, {'image_size': (0, 100)}, '`image_size`'),
    (lambda k: k, {'image_size': 'large'}, '`image_size`'),
    (lambda k: k, {'field_of_view': 190}, '`field_of_view`'),
    (lambda k: k, {'focal_length': -1}, '`focal_length`'),
    (lambda k: k, {'height': 30}, '`height=30`'),
    (
      lambda k: np.concatenate([k, 300 + k[..., :1]], axis=-1),
      {},
      'confidence',
    ),
  ],
)
def test_refusals(lifter, filmed, change, options, message):
  keypoints = change(filmed.keypoints('coco'))
  with pytest.raises(UserError, match=message):
    lifter(keypoints, **{'image_size': SIZE} | options)


def within_bounds(poses):
  lengths = np.linalg.norm(bone_vectors(poses, H36M), axis=-1)
  medians = bounds.MEDIAN_LENGTHS
  assert np.isfinite(poses).all()
  assert (lengths <= 2 * medians).all()
  total = lengths.sum(axis=-1) / medians.sum()
  assert (total >= 0.5).all() and (total <= 2).all()


def any_poses(rng, count):
  """What a network might predict, of any size, some of it not finite."""
  scales = 10.0 ** rng.uniform(-30, 30, (count, 1, 1))
  poses = np.float32(rng.standard_normal((count, 16, 3)) * scales)
  poses[0], poses[1], poses[2] = np.nan, np.inf, 0
  poses[3, 5] = -np.inf
  return poses


def test_bounds_of_anything():
  poses = any_poses(np.random.default_rng(0), 5000)
  within_bounds(np.asarray(bounds.bound(jnp.asarray(poses))))


@pytest.mark.slow
def test_bounds_of_a_million():
  bound = jax.jit(bounds.bound)
  for seed in range(20):
    poses = any_poses(np.random.default_rng(seed), 50_000)
    within_bounds(np.asarray(bound(poses)))


def test_real_poses_are_left_alone(filmed):
  bounded = np.asarray(bounds.bound(jnp.asarray(filmed.poses)))
  assert np.abs(bounded - filmed.poses).max() < 1e-5


def hostile(rng, count):
  """Keypoints that no detector would give: random, shuffled, far, repeated."""
  kind = rng.integers(5, size=count)
  keypoints = rng.uniform(0, 1000, (count, 17, 3)).astype(np.float32)
  keypoints[..., 2] = rng.uniform(0, 1, (count, 17))
  keypoints[kind == 1, :, :2] *= 1e4
  keypoints[kind == 2, :, :2] = keypoints[kind == 2, :1, :2]
  keypoints[kind == 3, :, :2] *= 1e-4
  keypoints[kind == 4, 4:, 2] = 0
  keypoints[rng.random((count, 17)) < 0.02] = np.nan
  return keypoints


@pytest.mark.slow
def test_hostile_keypoints_give_possible_bodies(lifter):
  keypoints = hostile(np.random.default_rng(0), 3000)
  poses = lifter(keypoints, (1000, 1000), check=False)
  within_bounds(poses[np.isfinite(poses).all(axis=(1, 2))])
  found = np.isfinite(keypoints).all(axis=-1) & (keypoints[..., 2] > 0)
  few = found.sum(axis=-1) < MIN_KEYPOINTS
  np.testing.assert_array_equal(np.isnan(poses).all(axis=(1, 2)), few)


@pytest.fixture
def optimized():
  """Compiles as for users; what runs for minutes is then much faster."""
  name = 'jax_disable_most_optimizations'
  before = jax.config.values[name]
  jax.config.update(name, False)
  yield
  jax.config.update(name, before)


@pytest.mark.slow
@pytest.mark.usefixtures('optimized')
def test_a_million_hostile_keypoints():
  bundled = Lifter.load('cmu')
  # The bounds come after the network, and anything may come out of this one.
  config = bundled.config.replace(hid_dim=8, num_layers=1)
  variables = create_train_state(config, H36M).scored
  untrained = Lifter.of(Network(config, H36M, variables, Progress()))
  for seed in range(50):
    lifter = bundled if seed < 5 else untrained
    keypoints = hostile(np.random.default_rng(seed), 20_000)
    poses = lifter(keypoints, (1000, 1000), check=False)
    within_bounds(poses[np.isfinite(poses).all(axis=(1, 2))])


@pytest.mark.slow
def test_a_run_of_another_recipe_warns(caplog, tmp_path):
  from tiny import TINY

  from semgcn_jax.training.loop import train

  train(TINY.replace(epochs=1), tmp_path / 'run')
  lifter = Lifter.load(tmp_path / 'run')
  assert 'knows only the cameras' in caplog.text
  assert lifter(np.full((1, 17, 2), 300.0), SIZE, check=False).shape == (
    *(1, 16, 3),
  )


def test_unknown_weights_are_named():
  with pytest.raises(UserError, match='nor bundled weights .*cmu'):
    Lifter.load('nobody')


def test_points_have_their_usual_places_without_a_key():
  poses = jnp.asarray(standing(3))
  from semgcn_jax.config import FilmingConfig

  points = np.asarray(mark(None, poses, FilmingConfig()))
  left = points[:, OF_PEOPLE.names.index('left_wrist')]
  np.testing.assert_allclose(left, poses[:, H36M.joints.index('LWrist')])
  ears = points[
    :, [OF_PEOPLE.names.index('left_ear'), OF_PEOPLE.names.index('right_ear')]
  ]
  assert (np.linalg.norm(ears[:, 0] - ears[:, 1], axis=-1) > 0.1).all()


def test_points_that_no_joint_is_made_of_are_not_enough(lifter):
  names = JOINT_SETS['body_25'].names
  keypoints = np.full((1, 25, 3), 300.0)
  feet = [n for n, name in enumerate(names) if 'toe' in name or 'heel' in name]
  keypoints[..., 2] = 0
  keypoints[:, feet, 2] = 1
  lifted = lifter.lift(keypoints, SIZE, 'body_25')
  assert np.isnan(lifted.poses).all() and lifted.num_missing == 1


def test_normalized_poses_are_refused_and_a_single_one_left_out(lifter, filmed):
  keypoints = filmed.keypoints('coco')
  keypoints[7] /= 1280
  lifted = lifter.lift(keypoints, SIZE)
  assert np.isnan(lifted.poses[7]).all() and lifted.num_missing == 1
  keypoints[8:] /= 1280
  with pytest.raises(UserError, match='pose 7 has nose at .* normalized'):
    lifter(keypoints, SIZE)


def test_a_place_that_cannot_be_known_is_nan(lifter, filmed):
  keypoints = filmed.keypoints('h36m')
  sure = np.ones((40, 16, 1))
  sure[3, 1:] = 0
  sure[5] = 0
  given = np.concatenate([keypoints, sure], axis=-1)
  places = lifter.place(
    filmed.poses, given, SIZE, 'h36m', focal_length=filmed.focal
  )
  assert np.flatnonzero(np.isnan(places[:, 0])).tolist() == [3, 5]
  for bad in ({'center': (np.nan, 1)}, {'image_size': (0, 0)}):
    with pytest.raises(SettingError):
      lifter.place(
        filmed.poses, keypoints, **{'image_size': SIZE} | bad,
        joints='h36m', focal_length=filmed.focal,
      )  # fmt: skip
  with pytest.raises(UserError, match='`pose`: is not an array'):
    lifter.place('x', keypoints, SIZE, 'h36m', focal_length=filmed.focal)


def test_expected_errors_scale_with_the_height(lifter, filmed):
  keypoints = filmed.keypoints('coco')
  small, tall = (lifter.lift(keypoints, SIZE, height=h) for h in (1.0, 2.0))
  np.testing.assert_allclose(
    tall.errors / small.errors, (2 - 0.08) / (1 - 0.08), rtol=1e-4
  )


def test_a_lifter_can_be_pickled_and_compared(lifter, filmed):
  keypoints = filmed.keypoints('coco')
  other = pickle.loads(pickle.dumps(lifter))
  assert other == lifter and hash(other) == hash(lifter)
  assert lifter != Lifter.load('cmu-video') and lifter != 'cmu'
  np.testing.assert_array_equal(other(keypoints, SIZE), lifter(keypoints, SIZE))
  assert '\n' not in repr(lifter)


def test_arguments_as_people_have_them(lifter, filmed):
  keypoints = np.insert(filmed.keypoints('coco'), 2, 0.9, axis=-1)
  hidden = keypoints.copy()
  hidden[:, 9:11] = 0
  masked = np.ma.masked_array(keypoints, np.zeros(keypoints.shape, bool))
  masked[:, 9:11] = np.ma.masked
  wanted = lifter(hidden, SIZE)
  np.testing.assert_array_equal(lifter(masked, SIZE), wanted)
  sure = keypoints.copy()
  sure[..., 2] = 1
  above = sure.copy()
  above[:, ::5, 2] = 1.03
  np.testing.assert_array_equal(lifter(above, SIZE), lifter(sure, SIZE))
  height = lifter(keypoints, SIZE, height=np.float32(1.75))
  np.testing.assert_allclose(
    height, lifter(keypoints, SIZE, height=1.75), atol=1e-6
  )
  with jax.numpy_dtype_promotion('strict'):
    again = pickle.loads(pickle.dumps(lifter))
    np.testing.assert_allclose(again(hidden, SIZE), wanted, atol=1e-6)


def test_lenses_and_sizes_that_cannot_be(lifter, filmed):
  keypoints = filmed.keypoints('coco')
  for lens in ({'focal_length': 35}, {'field_of_view': 1.02}):
    with pytest.raises(UserError, match='a lens that sees'):
      lifter(keypoints, SIZE, **lens)
    assert np.isfinite(lifter(keypoints, SIZE, check=False, **lens)).all()
  wide = keypoints * (1, 0.5)
  with pytest.raises(UserError, match=rf'is it {SIZE[0]}x{SIZE[1]}\?'):
    lifter(wide, SIZE[::-1])


def test_a_keypoint_far_outside_is_not_found(lifter, filmed):
  keypoints = np.insert(filmed.keypoints('coco'), 2, 0.9, axis=-1)
  far, hidden = keypoints.copy(), keypoints.copy()
  far[7, 9, 0] = -1400
  hidden[7, 9] = 0
  np.testing.assert_array_equal(lifter(far, SIZE), lifter(hidden, SIZE))
