import dataclasses
import io

import matplotlib.image
import numpy as np
import pytest
from scenes import clip, person
from skeletons import HAND

from semgcn_jax.figures.poses import _choose, draw_grid, seen_from, towards
from semgcn_jax.motion.upright import make_scenes
from semgcn_jax.pictures.videos import Album


def drawn(*clips):
  file = io.BytesIO()
  draw_grid(make_scenes(clips, pitch=0.0)).savefig(file, format='png')
  file.seek(0)
  return matplotlib.image.imread(file)


def test_poses_are_drawn():
  walk, other = clip(person(truth=True)), clip(person(), name='other')
  image = drawn(walk, other)
  assert min(image.shape[:2]) > 300 and np.ptp(image) > 0.5
  album = Album()
  album.add(0, np.full((720, 1280, 3), (0, 200, 0), np.uint8))
  walk = dataclasses.replace(walk, pictures=album)
  green = drawn(walk, other)[..., 1] > 0.7
  assert green.mean() > (image[..., 1] > 0.7).mean() - 0.2
  assert drawn().shape == drawn(clip(person(0))).shape


def test_other_skeletons_are_drawn():
  joints = HAND.num_joints
  poses = np.random.default_rng(0).normal(size=(3, joints, 3))
  hand = person(3, poses=poses, keypoints=None, errors=None)
  assert np.ptp(drawn(clip(hand, skeleton=HAND))) > 0.5


def test_the_worst_are_in_the_last_row():
  scenes = []
  for number in range(8):
    error = np.linspace(0.01, 0.05, 21)[:, None, None] + 0.1 * (number == 5)
    some = person(21, truth=person(21).poses + error)
    scenes += make_scenes([clip(some, name=str(number))])
  chosen = _choose(scenes)
  assert len(chosen) == 9 and chosen[6].scene.clip.name == '5'
  assert len({sample.scene.clip.name for sample in chosen[:6]}) == 6
  assert len({sample.scene.clip.name for sample in chosen[6:]}) == 3
  last = min(sample.error for sample in chosen[6:])
  assert last == pytest.approx(np.sqrt(3) * 0.05, rel=1e-4)
  assert 'mm' in chosen[0].title


def test_the_view_is_orthographic():
  # From the front x is to the right and y up; from the side, z to the left.
  point = np.array([1.0, 2.0, 3.0])
  np.testing.assert_allclose(seen_from(point, (0, 0)), (1, 2), atol=1e-9)
  np.testing.assert_allclose(seen_from(point, (90, 0)), (-3, 2), atol=1e-9)
  assert point @ towards((0, 0)) == pytest.approx(3)
  assert point @ towards((90, 0)) == pytest.approx(1)
  assert point @ towards((0, 90)) == pytest.approx(2)
