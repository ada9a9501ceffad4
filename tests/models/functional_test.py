import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random, softmax_by_loops
from skeletons import CHAIN, HAND

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models import functional
from semgcn_jax.models.graph import adjacency_mask

SKELETONS = [H36M, HAND, CHAIN]


@pytest.mark.parametrize('skeleton', SKELETONS)
@pytest.mark.parametrize('leading', [(), (7,)])
def test_adjacency_rows_sum_to_one_and_vanish_off_the_mask(skeleton, leading):
  mask = adjacency_mask(skeleton)
  logits = random(*leading, mask.sum())
  adjacency = np.asarray(
    functional.semantic_adjacency(jnp.asarray(logits), mask)
  )
  np.testing.assert_allclose(adjacency.sum(axis=-1), 1, rtol=1e-6)
  assert (adjacency[..., ~mask] == 0).all()
  for index in np.ndindex(*leading):
    np.testing.assert_allclose(
      adjacency[index], softmax_by_loops(logits[index], mask), atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize('shape', [(15, 2), (3, 5, 2), (3, 2, 4, 2)])
def test_the_gradient_of_batch_norm(shape):
  """Against autodiff of the formula, with and without ReLU."""
  x = random(*shape) * 2 + 1
  scale, bias, weights = random(2, seed=1), random(2, seed=2), random(*shape)
  rows = tuple(range(len(shape) - 1))

  for relu in (False, True):

    def plain(x, scale, bias, relu=relu):
      y = (x - x.mean(rows)) / jnp.sqrt(x.var(rows) + 1e-5) * scale + bias
      return jnp.sum(weights * (jnp.maximum(y, 0) if relu else y))

    def ours(x, scale, bias, relu=relu):
      y, _, _ = functional.batch_normalize(
        x, scale, bias, epsilon=1e-5, relu=relu, axis_name=None
      )
      return jnp.sum(weights * y)

    for a, b in zip(
      jax.grad(ours, (0, 1, 2))(x, scale, bias),
      jax.grad(plain, (0, 1, 2))(x, scale, bias),
      strict=True,
    ):
      np.testing.assert_allclose(a, b, atol=2e-5)


def test_the_variance_survives_a_large_mean():
  x = 1000 + random(16, 64, 3)
  _, mean, var = functional.batch_normalize(
    x, jnp.ones(3), jnp.zeros(3), epsilon=1e-5, relu=False, axis_name=None
  )
  np.testing.assert_allclose(mean, [x.astype(float).mean((0, 1))], rtol=1e-6)
  np.testing.assert_allclose(var, [x.astype(float).var((0, 1))], rtol=1e-4)


def test_parts_of_a_batch_are_normalized_apart():
  x, residual = random(3, 6, 2), random(3, 6, 2, seed=1)
  scale, bias = random(2, seed=2), random(2, seed=3)
  fields = {'epsilon': 1e-5, 'relu': True, 'axis_name': None}
  y, mean, var = functional.batch_normalize(
    x, scale, bias, residual, parts=2, **fields
  )
  for part in range(2):
    own = np.s_[:, 3 * part : 3 * part + 3]
    expected = functional.batch_normalize(x[own], scale, bias, **fields)
    np.testing.assert_allclose(y[own], expected[0] + residual[own], rtol=1e-5)
    np.testing.assert_allclose(mean[part], expected[1][0], rtol=1e-5)
    np.testing.assert_allclose(var[part], expected[2][0], rtol=1e-5)


@pytest.mark.slow
def test_written_gradients_are_those_of_autodiff():
  x, kernel, mixing = random(5, 4, 3), random(2, 3, 3), random(5, 5)
  pool = tuple((j,) for j in range(3)) + ((3, 4),)
  cases = {
    'linear': (functional.linear, lambda x, w: x @ w, (x, kernel[0])),
    'mix': (functional.mix, lambda a, x: jnp.einsum('ij,jbc->ibc', a, x),
            (mixing, x)),
    'conv': (
      functional.semantic_graph_conv,
      lambda x, w, a, b: jnp.einsum('ij,jbc->ibc', a * jnp.eye(5), x @ w[0])
      + jnp.einsum('ij,jbc->ibc', a * (1 - jnp.eye(5)), x @ w[1]) + b,
      (x, kernel, mixing, random(3, seed=1)),
    ),
    'attend': (
      functional.attend,
      lambda f, x: jnp.einsum('jnb,nbc->jbc', f, x),
      (random(5, 4, 4), random(4, 4, 3)),
    ),
    'group_max': (
      lambda x: functional.group_max(x, pool),
      lambda x: jnp.stack([x[0], x[1], x[2], jnp.maximum(x[3], x[4])]),
      (x,),
    ),
  }  # fmt: skip
  for name, (ours, plain, arguments) in cases.items():
    every = tuple(range(len(arguments)))
    for a, b in zip(
      jax.grad(lambda *args, f=ours: jnp.sum(f(*args) ** 2), every)(*arguments),
      jax.grad(lambda *args, f=plain: jnp.sum(f(*args) ** 2), every)(
        *arguments
      ),
      strict=True,
    ):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
  ('channels', 'shape'), [((2, 5), (4,)), ((5, 2), (2, 3)), ((3, 3), (4,))]
)
def test_semantic_graph_conv_is_its_formula(channels, shape):
  """In value, and in first and second derivatives."""
  x, kernel, adjacency, bias = (
    random(5, *shape, channels[0]),
    random(2, *channels),
    random(5, 5),
    random(channels[1]),
  )
  weights, eye = random(5, *shape, channels[1]), jnp.eye(5)

  def plain(x, w, a, b):
    parts = a * eye, a * (1 - eye)
    return b + sum(
      jnp.einsum('ij,j...c,cd->i...d', part, x, matrix)
      for part, matrix in zip(parts, w, strict=True)
    )

  def derive(function):
    every = (0, 1, 2, 3)

    def loss(*args):
      return jnp.sum(jnp.sin(function(*args)) * weights)

    def length(*args):
      return sum(jnp.sum(g**2) for g in jax.grad(loss, every)(*args))

    args = x, kernel, adjacency, bias
    first, second = (jax.grad(f, every)(*args) for f in (loss, length))
    return function(*args), *first, *second

  for a, b in zip(
    derive(functional.semantic_graph_conv), derive(plain), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * np.abs(b).max())


def test_of_equal_joints_the_first_gets_the_gradient():
  x = jnp.ones((4, 1, 1))
  grad = jax.grad(lambda x: functional.group_max(x, ((2, 0, 1), (3,))).sum())(x)
  np.testing.assert_array_equal(grad.ravel(), [0, 0, 1, 1])
