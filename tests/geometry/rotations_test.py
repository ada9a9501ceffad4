import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.geometry.rotations import (
  about_axis,
  about_vector,
  to_axis,
  turn,
  y_down,
)


def test_rotations():
  vectors = np.random.default_rng(0).normal(size=(20, 3))
  matrices = np.asarray(about_vector(jnp.asarray(vectors)))
  for vector, matrix in zip(vectors, matrices, strict=True):
    angle = np.linalg.norm(vector)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(matrix @ vector, vector, atol=1e-5)
    trace = 1 + 2 * np.cos(angle)
    np.testing.assert_allclose(np.trace(matrix), trace, atol=1e-5)
  quarter = np.asarray(about_axis(2, jnp.array([np.pi / 2])))[0]
  np.testing.assert_allclose(quarter @ (1, 0, 0), (0, 1, 0), atol=1e-6)
  rays = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
  for ray, matrix in zip(rays, to_axis(jnp.asarray(rays)), strict=True):
    np.testing.assert_allclose(matrix @ ray, (0, 0, 1), atol=1e-5)


def test_turning_about_axes_is_that_of_scipy():
  rng = np.random.default_rng(0)
  axes, angles = rng.normal(size=(20, 3)), rng.uniform(-4, 4, 20)
  axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
  points = rng.normal(size=(20, 5, 3))
  turned = turn(*(jnp.asarray(x) for x in (points, axes, angles)))
  for axis, angle, before, after in zip(
    axes, angles, points, turned, strict=True
  ):
    expected = Rotation.from_rotvec(angle * axis).apply(before)
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_small_and_no_turns():
  vectors = np.array([[0, 0, 0], [1e-7, 0, 0], [0, 1e-3, -1e-3]])
  expected = Rotation.from_rotvec(vectors).as_matrix()
  matrices = about_vector(jnp.asarray(vectors))
  np.testing.assert_allclose(matrices, expected, atol=1e-7)


def test_z_up_to_y_down():
  point = np.array((1.0, 2.0, 3.0))  # To the right, ahead, up.
  np.testing.assert_array_equal(y_down(point), (1, -3, 2))
  # A quarter turn, so that lengths and sides stay.
  matrix = y_down(np.eye(3, dtype=np.float32))
  assert matrix.dtype == np.float32
  np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=1e-6)
  np.testing.assert_array_equal(y_down(jnp.asarray(point)), (1, -3, 2))
