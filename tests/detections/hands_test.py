"""Hands in pictures and videos, from the detector to their poses."""

import contextlib

import numpy as np
import packages
import PIL.Image
import pytest
from command_line import fails, run

from semgcn_jax import Lifter
from semgcn_jax.data.hands import generate
from semgcn_jax.detections import hands, mediapipe
from semgcn_jax.errors import UserError
from semgcn_jax.inference.people import lift_clip
from semgcn_jax.pictures.videos import Album

SIZE = 640, 480
FRAMES = 20


def pixels(seed=0):
  """The joints of a right hand, `[21, 2]`, in an image of `SIZE`."""
  hand = generate(np.random.default_rng(seed), 1, held_up=1.0)[0] + (0, 0, 0.8)
  return hand[:, :2] / hand[:, 2:] * 500 + (400, 240)


def found(points, is_left):
  return mediapipe.Hand(np.insert(points, 2, 0.9, axis=-1), is_left)


def two_hands(number):
  """A right hand that moves, and its mirror image, seldom taken for another."""
  points = pixels() + (number, 0)
  mirrored = points * (-1, 1) + (SIZE[0], 0)
  return [found(points, number % 5 == 0), found(mirrored, number % 7 != 0)]


@pytest.fixture
def detected(monkeypatch):
  """Lets the detector see two hands in each image."""
  calls = []

  @contextlib.contextmanager
  def hand_landmarker(*, tracks=False, model='', most=4):
    calls.append((tracks, model, most))
    count = iter(range(FRAMES))
    yield lambda picture: two_hands(next(count))[:most]

  monkeypatch.setattr(mediapipe, 'hand_landmarker', hand_landmarker)
  return calls


def clip_of(frames, least=0.0):
  picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
  album = Album()
  for number in range(len(frames)):
    album.add(number, picture)
  return hands._clip('a', 'a.mp4', dict(enumerate(frames)), album, least)


def test_sides_are_those_of_most_images():
  clip = clip_of([two_hands(number) for number in range(FRAMES)])
  right, left = clip.people
  assert (right.name, left.name) == ('right', 'left')
  assert left.is_mirrored and not right.is_mirrored
  assert len(left.frames) == len(right.frames) == FRAMES
  assert clip.joint_set == 'mediapipe' and clip.skeleton.num_joints == 21


def test_who_is_seen_for_a_moment_is_left_out():
  frames = [two_hands(0), *([two_hands(n)[0]] for n in range(1, FRAMES))]
  assert [p.name for p in clip_of(frames, least=4).people] == ['right']
  frames = [
    two_hands(n) + [found(pixels(3) - (300, 0), False)] for n in range(9)
  ]
  assert [p.name for p in clip_of(frames).people] == [
    'right',
    'left',
    'right 2',
  ]
  with pytest.raises(UserError, match=r'a\.mp4: no hand was found in it'):
    clip_of([[], []])


def test_a_left_hand_is_the_mirror_image_of_a_right_one():
  clip = clip_of([two_hands(1), two_hands(2)])
  lifter = Lifter.load('hand')
  right, left = lift_clip(lifter, clip, field_of_view=60).people
  np.testing.assert_allclose(left.poses * (-1, 1, 1), right.poses, atol=1e-5)
  np.testing.assert_allclose(left.places * (-1, 1, 1), right.places, atol=1e-4)
  np.testing.assert_allclose(left.errors, right.errors, atol=1e-5)
  assert left.is_mirrored and left.name == 'left'
  np.testing.assert_allclose(
    left.keypoints[..., 0], SIZE[0] - right.keypoints[..., 0], atol=1e-3
  )
  points = np.stack(
    [hand.keypoints for n in (1, 2) for hand in two_hands(n)[:1]]
  )
  alone = lifter(points, SIZE, 'mediapipe', field_of_view=60)
  np.testing.assert_allclose(right.poses, alone, atol=1e-6)


def test_sides_are_read_back(detected, tmp_path):
  del detected
  picture = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
  PIL.Image.fromarray(picture).save(tmp_path / 'hands.png')
  for ending in ('json', 'npz'):
    code, _, err = run(
      *('predict', '--hands', f'--image={tmp_path}/hands.png'),
      f'--output={tmp_path}/first.{ending},{tmp_path}/{ending}.npz',
    )
    assert (code, err) == (0, '')
    code, _, err = run(
      *('predict', '--hands', f'--detections={tmp_path}/first.{ending}'),
      f'--output={tmp_path}/again_{ending}.npz',
    )
    assert (code, err) == (0, '')
    first, again = (
      np.load(tmp_path / f'{name}.npz') for name in (ending, f'again_{ending}')
    )
    assert again['person'].tolist() == ['left', 'right']
    assert again['mirrored'].tolist() == [True, False]
    # Read back, they are exact joints to the network, not a detector's.
    off = np.linalg.norm(again['poses'] - first['poses'], axis=-1)
    assert off.max() < 0.02


def test_the_weights_in_the_box_lift_generated_hands():
  truth = generate(np.random.default_rng(7), 300)
  seen = truth + (0.1, 0, 0.8)
  points = seen[..., :2] / seen[..., 2:] * 500 + (320, 240)
  lifter = Lifter.load('hand')
  assert lifter.joint_sets == ('own', 'nyu', 'mediapipe')
  lifted = lifter.lift(points, SIZE)
  errors = np.linalg.norm(lifted.poses - truth, axis=-1)
  mean = np.linalg.norm(truth - truth.mean(axis=0), axis=-1)
  assert errors.mean() < 0.35 * mean.mean()
  assert 0.7 < lifted.errors.mean() / errors.mean() < 1.4


@pytest.mark.parametrize('most', [None, 1])
def test_hands_of_a_picture(detected, tmp_path, most):
  picture = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
  PIL.Image.fromarray(picture).save(tmp_path / 'hands.png')
  code, out, err = run(
    *('predict', '--hands', f'--image={tmp_path}/hands.png'),
    f'--output={tmp_path}/out.html,{tmp_path}/out.npz',
    *([f'--people={most}'] if most else []),
  )
  assert (code, err) == (0, '')
  assert detected == [(False, '', most or 4)]
  assert (
    '2 poses, of 2 people' if most is None else '1 pose, of 1 person'
  ) in out
  persons = np.load(tmp_path / 'out.npz')['person'].tolist()
  # In the first image, the sides are exchanged.
  assert persons == ['left', 'right'][: most or 2]
  assert '"index_tip"' in (tmp_path / 'out.html').read_text()


IMAGE = f'--image={__file__}'  # It only has to exist.


def test_flags(tmp_path):
  out = f'--output={tmp_path}/out.html'
  np.save(tmp_path / 'a.npy', np.ones((3, 21, 2)))
  for flags, message in (
    ((IMAGE, '--box=1,2,3,4'), '--box: has no meaning with --hands'),
    ((IMAGE, '--detector=rtmlib'), '--detector: has no meaning'),
    (
      (IMAGE, '--checkpoint=cmu'),
      'cmu: does not lift hands; leave it out',
    ),
    ((IMAGE, '--height=1'), '--height: is for people'),
  ):
    code, _, err = run('predict', '--hands', out, *flags)
    assert code == 2 and message in err and err.count('\n') == 1, err
  fails(
    *('predict', '--hands', '--camera=0', '--live'),
    status=2,
    message='--live: is for people',
  )
  points = np.stack([pixels(seed) for seed in range(3)])
  np.save(tmp_path / 'right.npy', points)
  code, out, err = run(
    *('predict', '--hands', f'--detections={tmp_path}/right.npy', out),
    '--image_size=640x480',
  )
  assert (code, err) == (0, '') and '3 poses, of 1 person' in out


@pytest.fixture(scope='module')
def photos(mediapipe_weights, tmp_path_factory):
  """Photographs of a hand that a package ships."""
  del mediapipe_weights
  folder = tmp_path_factory.mktemp('photos')
  return packages.install_npm(folder, 'fingerpose', '0.1.0') / 'assets'


@pytest.mark.slow
def test_a_real_hand(photos, tmp_path):
  """A left hand, its palm to the right; the index finger alone is straight."""
  outputs = tmp_path / 'out.npz', tmp_path / 'out.html'
  code, _, err = run(
    *('predict', '--hands', f'--image={photos}/nocurl.jpg'),
    f'--output={",".join(map(str, outputs))}',
  )
  assert (code, err) == (0, '')
  arrays = np.load(outputs[0])
  [pose], [name] = arrays['poses'], arrays['person'].tolist()
  assert name == 'left'

  def straightness(finger):
    first = 1 + 4 * finger
    bones = np.diff(pose[first : first + 4], axis=0)
    whole = np.linalg.norm(pose[first + 3] - pose[first])
    return whole / np.linalg.norm(bones, axis=-1).sum()

  index, *others = (straightness(finger) for finger in range(1, 5))
  assert index > 0.93 and max(others) < 0.75
  assert pose[8, 1] < -0.13  # It points up.
  fails(
    *('predict', '--hands', f'--output={tmp_path}/x.html'),
    f'--image={photos}/../package.json',
    status=1,
    message='package.json',
  )
