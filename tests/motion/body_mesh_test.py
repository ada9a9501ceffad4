"""The body of a rig, moved with it."""

import numpy as np
import pytest
import rigged

from semgcn_jax.motion.body_mesh import body_surfaces, pose_bodies
from semgcn_jax.motion.rig import JOINTS, PARENTS, fit


@pytest.fixture(scope='module')
def motion():
  return fit(rigged.clip('Walking 1'), 25)


def test_vertices_move_with_their_joints(motion):
  surfaces = body_surfaces(motion.offsets)
  assert {*surfaces} == {'trunk', 'left', 'right'}
  row = 7
  posed = pose_bodies(surfaces, motion, row)
  places = rigged.places(motion)[row]
  for name, surface in surfaces.items():
    for vertex in range(0, len(surface.points), 97):
      joint = int(surface.joints[vertex])
      # Up the tree: the rest position of the joint, and its rotation.
      rest, turn, above = np.zeros(3), np.eye(3), joint
      while above >= 0:
        turn = rigged.matrix(motion.rotations[row, above]) @ turn
        rest = rest + motion.offsets[above]
        above = PARENTS[above]
      expected = places[joint] + turn @ (surface.points[vertex] - rest)
      np.testing.assert_allclose(posed[name][vertex], expected, atol=1e-9)


def test_sides_are_mirror_images(motion):
  surfaces = body_surfaces(motion.offsets)
  left, right = surfaces['left'].points, surfaces['right'].points

  def ordered(points):
    return points[np.lexsort(points.round(6).T)]

  np.testing.assert_allclose(
    ordered(left * (-1, 1, 1)), ordered(right), atol=1e-5
  )
  assert JOINTS[surfaces['left'].joints[0]][0] == 'L'
