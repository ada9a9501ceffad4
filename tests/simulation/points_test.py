import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import quadruped

from semgcn_jax.config import FilmingConfig
from semgcn_jax.geometry.skeletons import HAND, Skeleton
from semgcn_jax.simulation.cameras import random_views
from semgcn_jax.simulation.points import mark, points_of

KEY = jax.random.PRNGKey(3)


def test_the_points_of_another_skeleton(tmp_path):
  skeleton = quadruped.skeleton(tmp_path)
  points = points_of(skeleton)
  assert points.names[:15] == skeleton.joints
  assert points.names[15:] == tuple(f'detector {n}' for n in quadruped.MARKED)
  for number, name in enumerate(quadruped.MARKED):
    at = skeleton.joints[points.joints[15 + number]]
    assert at == ('head' if 'ear' in name else name)
  pairs = {tuple(points.names[i] for i in pair) for pair in points.pairs}
  assert ('left_paw', 'right_paw') in pairs
  assert ('detector left_ear', 'detector right_ear') in pairs
  assert len(pairs) == 5 + 6
  hidden = [
    {skeleton.joints[i] for i in np.flatnonzero(mask[:15])}
    for mask in points.hidden
  ]
  assert {'left_shoulder', 'left_elbow', 'left_paw'} in hidden
  assert {'tail'} in hidden and not points.lower.any()
  # A keypoint is hidden with the joint that it lies at.
  for mask in points.hidden:
    np.testing.assert_array_equal(mask[15:], mask[points.joints[15:]])


def test_a_chain_may_lose_its_end():
  chain = Skeleton(joints=tuple('abc'), parents=(-1, 0, 1))
  assert points_of(chain).hidden.tolist() == [[False, False, True]]
  assert points_of(HAND).hidden.shape[0] == 5  # The fingers.


def test_detectors_mark_points_near_the_joints(tmp_path):
  skeleton = quadruped.skeleton(tmp_path)
  poses = jnp.asarray(
    quadruped.poses(np.random.default_rng(0), 500), jnp.float32
  )
  points = points_of(skeleton)
  config = FilmingConfig(mark_offset=0.03)
  marked = np.asarray(mark(KEY, poses, config, points))
  np.testing.assert_array_equal(marked[:, :15], poses)
  off = marked[:, 15:] - np.asarray(poses)[:, points.joints[15:]]
  np.testing.assert_allclose(off.std(axis=(0, 1)), 0.03, rtol=0.05)
  exact = np.asarray(mark(None, poses, config, points))
  np.testing.assert_array_equal(exact, poses[:, points.joints])


def test_what_does_not_stand_is_seen_from_all_around():
  poses = jnp.asarray(quadruped.poses(np.random.default_rng(0), 4000))
  config = FilmingConfig()

  def rotations(**arguments):
    return np.asarray(random_views(KEY, poses, **arguments).rotation)

  turned = rotations(config=config, level=False)
  # The mean of uniform rotations is 0, that of their squares 1/3.
  np.testing.assert_allclose(turned.mean(axis=0), 0, atol=0.04)
  np.testing.assert_allclose(np.square(turned).mean(axis=0), 1 / 3, atol=0.02)
  assert rotations(config=config)[:, 1, 1].mean() > 0.9  # Up stays up.
  near = dataclasses.replace(config, film_turn=20.0, film_tilt=0.0)
  for level in (False, True):
    turned = rotations(config=near, level=level)
    angles = np.rad2deg(np.arctan2(turned[:, 0, 2], turned[:, 0, 0]))
    assert np.abs(angles).max() < 25 and angles.std() > 10
